import type { ServiceImpl } from "@connectrpc/connect";
import type { PrivacyService } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import type { Services } from "../shared/context.ts";
import { auditMethods } from "./audit.ts";
import { disclosureMethods } from "./disclosures.ts";
import { erasureMethods } from "./erasures.ts";
import { exportMethods } from "./export-phone-number.ts";
import { holdMethods } from "./holds.ts";
import { retentionMethods } from "./retention-policies.ts";

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
