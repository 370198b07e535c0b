import type { ServiceImpl } from "@connectrpc/connect";
import type { PrivacyService } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import type { Services } from "../context.ts";

/** Everything kept about a person's number, as a stream. */
export function exportMethods(_services: Services): Partial<ServiceImpl<typeof PrivacyService>> {
  return {};
}
