import type { ServiceImpl } from "@connectrpc/connect";
import type { PrivacyService } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import type { Services } from "../context.ts";

/** Erasing a person's number, and following that. */
export function erasureMethods(_services: Services): Partial<ServiceImpl<typeof PrivacyService>> {
  return {};
}
