import type { ServiceImpl } from "@connectrpc/connect";
import type { PrivacyService } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import type { Services } from "../context.ts";

/** The audit log: listed, and its chains verified. */
export function auditMethods(_services: Services): Partial<ServiceImpl<typeof PrivacyService>> {
  return {};
}
