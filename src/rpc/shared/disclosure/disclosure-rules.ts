import type { DescMethod } from "@bufbuild/protobuf";
import { DisclosureKind } from "../../../gen/tandem/platform/v1/disclosure_pb.js";
import { LegalBasis, ProcessingPurpose } from "../../../gen/tandem/platform/v1/retention_policy_pb.js";

/**
 * What the disclosure log says of a method: what kind of reading it is, for what and on what
 * ground; or why it discloses no records.
 */
export type DisclosureRule =
  | {
      readonly discloses: true;
      readonly kind: DisclosureKind;
      readonly purpose: ProcessingPurpose;
      readonly legalBasis: LegalBasis;
    }
  | { readonly discloses: false; readonly why: string };

/**
 * The rule of a method; undefined for one that the table does not name, and that may deliver no
 * record.
 */
export function disclosureRuleOf(method: DescMethod): DisclosureRule | undefined {
  return RULES[`${method.parent.typeName}/${method.name}`];
}

const reading = (kind: DisclosureKind, purpose: ProcessingPurpose, legalBasis: LegalBasis) =>
  ({ discloses: true, kind, purpose, legalBasis }) as const;
const nothing = (why: string) => ({ discloses: false, why }) as const;

const { FEED_BLOCK, GET, LIST, EXPORT } = DisclosureKind;
const reconcile = (kind: DisclosureKind) => reading(kind, ProcessingPurpose.RECONCILIATION, LegalBasis.CONTRACT);
const service = (kind: DisclosureKind) => reading(kind, ProcessingPurpose.USAGE_AND_BILLING, LegalBasis.CONTRACT);
const troubleshoot = (kind: DisclosureKind) =>
  reading(kind, ProcessingPurpose.TROUBLESHOOTING, LegalBasis.LEGITIMATE_INTERESTS);

const SYSTEM = nothing("says nothing of carriers");
const CARRIER = nothing("an agreement or a carrier, not its records");
const POSITION = nothing("positions, not entries");
const OUTCOME = nothing("tells what became of what the caller itself sent");
const FIGURES = nothing("figures over many calls: no record, number or single call is in them");
const ABOUT = nothing("about policies, holds, erasures or the logs: names records at most, and shows none");

/**
 * The one table of what is logged as a disclosure; a test walks the contract and fails for a method
 * that is not in it.
 */
const RULES: Readonly<Record<string, DisclosureRule>> = {
  "grpc.health.v1.Health/Check": SYSTEM,
  "grpc.health.v1.Health/List": SYSTEM,
  "grpc.health.v1.Health/Watch": SYSTEM,
  "grpc.reflection.v1.ServerReflection/ServerReflectionInfo": SYSTEM,
  "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": SYSTEM,

  "tandem.carrier.v1.AgreementService/GetAgreement": CARRIER,
  "tandem.carrier.v1.NumberService/GetNumber": service(GET),
  "tandem.carrier.v1.NumberService/ListNumbers": service(LIST),
  "tandem.carrier.v1.NumberService/WatchNumbers": service(FEED_BLOCK),
  "tandem.carrier.v1.NumberService/ProvisionNumbers": OUTCOME,
  "tandem.carrier.v1.NumberService/ReleaseNumbers": OUTCOME,
  "tandem.carrier.v1.CdrService/StreamCdrs": reconcile(FEED_BLOCK),
  "tandem.carrier.v1.CdrService/ListCdrs": reconcile(LIST),
  "tandem.carrier.v1.CdrService/GetCdr": troubleshoot(GET),
  "tandem.carrier.v1.CdrService/GetCdrFeed": POSITION,
  "tandem.carrier.v1.CdrService/ResolveCdrCursor": POSITION,
  "tandem.carrier.v1.CdrService/CommitCdrCursor": POSITION,
  "tandem.carrier.v1.CdrService/ListCdrConsumers": POSITION,
  "tandem.carrier.v1.CdrService/SummarizeQuality": FIGURES,
  "tandem.carrier.v1.DurationService/UploadDurations": OUTCOME,
  "tandem.carrier.v1.DurationService/AppendDurations": OUTCOME,
  "tandem.carrier.v1.DurationService/GetUpload": OUTCOME,
  "tandem.carrier.v1.DurationService/ListUploads": OUTCOME,
  "tandem.carrier.v1.DurationService/ListRejects": reconcile(LIST),
  "tandem.carrier.v1.DurationService/ListDurations": reconcile(LIST),
  "tandem.carrier.v1.ReconciliationService/GetReconciliationSummary": FIGURES,
  "tandem.carrier.v1.ReconciliationService/ListDiscrepancies": reconcile(LIST),
  "tandem.carrier.v1.ReconciliationService/WatchDiscrepancies": reconcile(FEED_BLOCK),
  "tandem.carrier.v1.ReconciliationService/ExplainCall": troubleshoot(GET),

  "tandem.platform.v1.CarrierService/CreateCarrier": CARRIER,
  "tandem.platform.v1.CarrierService/GetCarrier": CARRIER,
  "tandem.platform.v1.CarrierService/ListCarriers": CARRIER,
  "tandem.platform.v1.CarrierService/UpdateCarrier": CARRIER,
  "tandem.platform.v1.CarrierService/SetNumberRanges": CARRIER,
  "tandem.platform.v1.CarrierService/GetNumberRanges": CARRIER,
  "tandem.platform.v1.NumberService/GetNumber": service(GET),
  "tandem.platform.v1.NumberService/ListNumbers": service(LIST),
  "tandem.platform.v1.NumberService/ListNumberHistory": service(LIST),
  "tandem.platform.v1.NumberService/AssignNumbers": OUTCOME,
  "tandem.platform.v1.NumberService/UnassignNumbers": OUTCOME,
  "tandem.platform.v1.NumberService/PortNumbers": OUTCOME,
  "tandem.platform.v1.CdrService/IngestCdrs": OUTCOME,
  "tandem.platform.v1.CdrService/GetCdr": troubleshoot(GET),
  "tandem.platform.v1.CdrService/ListCdrs": troubleshoot(LIST),
  "tandem.platform.v1.ReconciliationService/GetReconciliationSummary": FIGURES,
  "tandem.platform.v1.ReconciliationService/ListDiscrepancies": reconcile(LIST),
  "tandem.platform.v1.ReconciliationService/GetReconciliationStatus": FIGURES,
  "tandem.platform.v1.ReconciliationService/ExplainCall": troubleshoot(GET),
  "tandem.platform.v1.UsageService/QueryUsage": service(LIST),
  "tandem.platform.v1.UsageService/ExportUsage": service(EXPORT),
  "tandem.platform.v1.UsageService/ClosePeriod": FIGURES,
  "tandem.platform.v1.UsageService/ListRestatements": service(LIST),
  "tandem.platform.v1.PrivacyService/ListRetentionPolicies": ABOUT,
  "tandem.platform.v1.PrivacyService/SetRetentionPolicy": ABOUT,
  "tandem.platform.v1.PrivacyService/CreateHold": ABOUT,
  "tandem.platform.v1.PrivacyService/ReleaseHold": ABOUT,
  "tandem.platform.v1.PrivacyService/ListHolds": ABOUT,
  "tandem.platform.v1.PrivacyService/ErasePhoneNumber": ABOUT,
  "tandem.platform.v1.PrivacyService/GetErasure": ABOUT,
  "tandem.platform.v1.PrivacyService/ExportPhoneNumber": reading(
    EXPORT,
    ProcessingPurpose.LEGAL_OBLIGATION,
    LegalBasis.LEGAL_OBLIGATION,
  ),
  "tandem.platform.v1.PrivacyService/ListDisclosures": ABOUT,
  "tandem.platform.v1.PrivacyService/ListAuditEvents": ABOUT,
  "tandem.platform.v1.PrivacyService/VerifyAuditLog": ABOUT,
};
