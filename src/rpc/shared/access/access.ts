import type { DescMethod } from "@bufbuild/protobuf";
import type { PlatformScope } from "../../../domain/carriers/scopes.ts";

/** Who may call a method. */
export type AccessRule =
  | { readonly principal: "anyone" }
  | { readonly principal: "carrier"; readonly evenSuspended?: true }
  | { readonly principal: "platform"; readonly scope: PlatformScope };

/**
 * The rule of a method; undefined for one that the table does not name, and that nobody may call.
 */
export function accessRuleOf(method: DescMethod): AccessRule | undefined {
  return RULES[`${method.parent.typeName}/${method.name}`];
}

const anyone = { principal: "anyone" } as const;
const carrier = { principal: "carrier" } as const;
const platform = (scope: PlatformScope) => ({ principal: "platform", scope }) as const;

/**
 * The one table of who may call what; a test walks the contract and fails for a method that is not
 * in it.
 */
const RULES: Readonly<Record<string, AccessRule>> = {
  "grpc.health.v1.Health/Check": anyone,
  "grpc.health.v1.Health/List": anyone,
  "grpc.health.v1.Health/Watch": anyone,
  "grpc.reflection.v1.ServerReflection/ServerReflectionInfo": anyone,
  "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": anyone,

  "tandem.carrier.v1.AgreementService/GetAgreement": { principal: "carrier", evenSuspended: true },
  "tandem.carrier.v1.NumberService/GetNumber": carrier,
  "tandem.carrier.v1.NumberService/ListNumbers": carrier,
  "tandem.carrier.v1.NumberService/WatchNumbers": carrier,
  "tandem.carrier.v1.NumberService/ProvisionNumbers": carrier,
  "tandem.carrier.v1.NumberService/ReleaseNumbers": carrier,
  "tandem.carrier.v1.CdrService/StreamCdrs": carrier,
  "tandem.carrier.v1.CdrService/ListCdrs": carrier,
  "tandem.carrier.v1.CdrService/GetCdr": carrier,
  "tandem.carrier.v1.CdrService/GetCdrFeed": carrier,
  "tandem.carrier.v1.CdrService/ResolveCdrCursor": carrier,
  "tandem.carrier.v1.CdrService/CommitCdrCursor": carrier,
  "tandem.carrier.v1.CdrService/ListCdrConsumers": carrier,
  "tandem.carrier.v1.CdrService/SummarizeQuality": carrier,
  "tandem.carrier.v1.DurationService/UploadDurations": carrier,
  "tandem.carrier.v1.DurationService/AppendDurations": carrier,
  "tandem.carrier.v1.DurationService/GetUpload": carrier,
  "tandem.carrier.v1.DurationService/ListUploads": carrier,
  "tandem.carrier.v1.DurationService/ListRejects": carrier,
  "tandem.carrier.v1.DurationService/ListDurations": carrier,
  "tandem.carrier.v1.ReconciliationService/GetReconciliationSummary": carrier,
  "tandem.carrier.v1.ReconciliationService/ListDiscrepancies": carrier,
  "tandem.carrier.v1.ReconciliationService/WatchDiscrepancies": carrier,
  "tandem.carrier.v1.ReconciliationService/ExplainCall": carrier,

  "tandem.platform.v1.CarrierService/CreateCarrier": platform("carriers.write"),
  "tandem.platform.v1.CarrierService/GetCarrier": platform("carriers.read"),
  "tandem.platform.v1.CarrierService/ListCarriers": platform("carriers.read"),
  "tandem.platform.v1.CarrierService/UpdateCarrier": platform("carriers.write"),
  "tandem.platform.v1.CarrierService/SetNumberRanges": platform("carriers.write"),
  "tandem.platform.v1.CarrierService/GetNumberRanges": platform("carriers.read"),
  "tandem.platform.v1.NumberService/GetNumber": platform("numbers.read"),
  "tandem.platform.v1.NumberService/ListNumbers": platform("numbers.read"),
  "tandem.platform.v1.NumberService/ListNumberHistory": platform("numbers.read"),
  "tandem.platform.v1.NumberService/AssignNumbers": platform("numbers.write"),
  "tandem.platform.v1.NumberService/UnassignNumbers": platform("numbers.write"),
  "tandem.platform.v1.NumberService/PortNumbers": platform("numbers.write"),
  "tandem.platform.v1.CdrService/IngestCdrs": platform("cdrs.write"),
  "tandem.platform.v1.CdrService/GetCdr": platform("cdrs.read"),
  "tandem.platform.v1.CdrService/ListCdrs": platform("cdrs.read"),
  "tandem.platform.v1.ReconciliationService/GetReconciliationSummary": platform("reconciliation.read"),
  "tandem.platform.v1.ReconciliationService/ListDiscrepancies": platform("reconciliation.read"),
  "tandem.platform.v1.ReconciliationService/GetReconciliationStatus": platform("reconciliation.read"),
  "tandem.platform.v1.ReconciliationService/ExplainCall": platform("reconciliation.read"),
  "tandem.platform.v1.UsageService/QueryUsage": platform("usage.read"),
  "tandem.platform.v1.UsageService/ExportUsage": platform("usage.read"),
  "tandem.platform.v1.UsageService/ClosePeriod": platform("usage.write"),
  "tandem.platform.v1.UsageService/ListRestatements": platform("usage.read"),
  "tandem.platform.v1.PrivacyService/ListRetentionPolicies": platform("privacy.read"),
  "tandem.platform.v1.PrivacyService/SetRetentionPolicy": platform("privacy.write"),
  "tandem.platform.v1.PrivacyService/CreateHold": platform("privacy.write"),
  "tandem.platform.v1.PrivacyService/ReleaseHold": platform("privacy.write"),
  "tandem.platform.v1.PrivacyService/ListHolds": platform("privacy.read"),
  "tandem.platform.v1.PrivacyService/ErasePhoneNumber": platform("privacy.write"),
  "tandem.platform.v1.PrivacyService/GetErasure": platform("privacy.read"),
  "tandem.platform.v1.PrivacyService/ExportPhoneNumber": platform("privacy.read"),
  "tandem.platform.v1.PrivacyService/ListDisclosures": platform("privacy.read"),
  "tandem.platform.v1.PrivacyService/ListAuditEvents": platform("privacy.read"),
  "tandem.platform.v1.PrivacyService/VerifyAuditLog": platform("privacy.read"),
};
