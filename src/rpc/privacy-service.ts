import type { ServiceImpl } from "@connectrpc/connect";
import type { PrivacyService } from "../gen/tandem/platform/v1/privacy_service_pb.js";
import type { Services } from "./context.ts";
import { auditMethods } from "./privacy/audit.ts";
import { disclosureMethods } from "./privacy/disclosures.ts";
import { erasureMethods } from "./privacy/erasures.ts";
import { exportMethods } from "./privacy/export-phone-number.ts";
import { holdMethods } from "./privacy/holds.ts";
import { retentionMethods } from "./privacy/retention-policies.ts";

/** Privacy, for the platform's privacy officer. */
export function privacyService(services: Services): Partial<ServiceImpl<typeof PrivacyService>> {
  return {
    ...retentionMethods(services),
    ...holdMethods(services),
    ...erasureMethods(services),
    ...exportMethods(services),
    ...disclosureMethods(services),
    ...auditMethods(services),
  };
}
