import type { PrivacyService } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import type { Methods } from "../shared/context.ts";
import { listEvents, verify } from "./audit.ts";
import { listDisclosures } from "./disclosures.ts";
import { erasePhoneNumber, getErasure } from "./erasures.ts";
import { exportPhoneNumber } from "./export-phone-number.ts";
import { createHold, listHolds, releaseHold } from "./holds.ts";
import { listPolicies, setPolicy } from "./retention-policies.ts";

export const privacyMethods: Methods<typeof PrivacyService> = {
  listRetentionPolicies: listPolicies,
  setRetentionPolicy: setPolicy,
  createHold,
  releaseHold,
  listHolds,
  erasePhoneNumber,
  getErasure,
  exportPhoneNumber,
  listDisclosures,
  listAuditEvents: listEvents,
  verifyAuditLog: verify,
};
