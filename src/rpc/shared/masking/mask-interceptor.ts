import type { Message } from "@bufbuild/protobuf";
import type { HandlerContext, Interceptor } from "@connectrpc/connect";
import { ExportPhoneNumberResponseSchema } from "../../../gen/tandem/platform/v1/privacy_service_pb.js";
import { findPrincipal } from "../access/caller.ts";
import { maskForReader } from "./reader-mask.ts";

/**
 * Masks each answer to a reader of the platform whose credential may not see parties, after the
 * method has said what it discloses. It is one place, so that no method can forget it. Carriers
 * read what crossed their own trunks, with both parties.
 */
export const maskInterceptor: Interceptor = (next) => async (request) => {
  const response = await next(request);
  if (!seesMaskedParties({ values: request.contextValues })) return response;
  if (response.stream) {
    if (!UNMASKED_STREAMS.has(request.method.output.typeName))
      throw new Error(`${request.method.name} has not said how its stream is masked`);
    return response;
  }
  const message = response.message as Message;
  // Bytes that are forwarded as stored would escape every mask.
  if (message.$unknown?.length) throw new Error(`${request.method.name} forwards what would have to be masked`);
  maskForReader(response.method.output, message);
  return response;
};

/** Whether the caller is of the platform and may not see the parties' numbers. */
export function seesMaskedParties(context: Pick<HandlerContext, "values">): boolean {
  const principal = findPrincipal(context);
  return principal?.kind === "platform" && !principal.scopes.has("parties.read");
}

/**
 * Streams to the platform that need no masking here: acknowledgements, usage that is masked where
 * it is summed, and a person's own export. A test walks the contract.
 */
export const UNMASKED_STREAMS: ReadonlySet<string> = new Set([
  "tandem.platform.v1.IngestCdrsResponse",
  "tandem.platform.v1.ExportUsageResponse",
  ExportPhoneNumberResponseSchema.typeName,
]);
