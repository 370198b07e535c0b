import type { ServiceImpl } from "@connectrpc/connect";
import type { PrivacyService } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import type { Services } from "../context.ts";

/** Who may have received which records. */
export function disclosureMethods(_services: Services): Partial<ServiceImpl<typeof PrivacyService>> {
  return {};
}
