import { createHmac } from "node:crypto";
import { type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { invalidArgument } from "../../domain/errors.ts";
import { auditedRequestId } from "../../domain/privacy/audited-request-id.ts";
import type { RepeatableCall } from "../../store/database/request-log.ts";
import type { Services } from "./context.ts";

/** What makes a call repeatable. Throws INVALID_ARGUMENT without a request_id. */
export function repeatableCall<Desc extends DescMessage>(
  services: Pick<Services, "installation">,
  method: string,
  schema: Desc,
  request: MessageShape<Desc> & { requestId: string },
): RepeatableCall {
  const { requestId } = request;
  const length = [...requestId].length;
  if (length < 1 || length > 64 || !/^[^\p{Cc}\p{Cs}]*$/u.test(requestId)) {
    throw invalidArgument("request_id", "is required: 1 to 64 characters without control characters");
  }
  // A repeat has another id only by mistake, so the id is part of the content; unknown fields are
  // ignored.
  const content = toBinary(schema, request, { writeUnknownFields: false });
  const mac = createHmac("sha256", services.installation.secret)
    .update("tandem request\0")
    .update(`${method}\0`)
    .update(content);
  const auditedId = auditedRequestId(services.installation.secret, requestId);
  return { method, requestId, auditedId, contentHash: mac.digest().readBigInt64BE(0) };
}
