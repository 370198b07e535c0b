import { createHmac } from "node:crypto";
import { type Message, toBinary } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { invalidArgument } from "../../domain/errors.ts";
import { auditedRequestId } from "../../domain/privacy/audited-request-id.ts";
import type { RepeatableCall } from "../../store/database/request-log.ts";
import type { Services } from "./context.ts";
import { isText } from "./lists.ts";

/** What makes a call repeatable. Throws INVALID_ARGUMENT without a request_id. */
export function repeatableCall(
  { installation: { secret } }: Pick<Services, "installation">,
  request: Message & { requestId: string },
  { method }: Pick<HandlerContext, "method">,
): RepeatableCall {
  const { requestId } = request;
  if (!isText(requestId, 64))
    throw invalidArgument("request_id", "is required: 1 to 64 characters without control characters");
  // A repeat has another id only by mistake, so the id is part of the content. Unknown fields are
  // not.
  const content = toBinary(method.input, request, { writeUnknownFields: false });
  const mac = createHmac("sha256", secret).update(`tandem request\0${method.name}\0`).update(content);
  const auditedId = auditedRequestId(secret, requestId);
  return { method: method.name, requestId, auditedId, contentHash: mac.digest().readBigInt64BE(0) };
}
