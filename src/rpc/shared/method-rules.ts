import type { DescMethod } from "@bufbuild/protobuf";
import type { PlatformScope } from "../../domain/carriers/scopes.ts";
import { DisclosureKind } from "../../gen/tandem/platform/v1/disclosure_pb.js";
import { LegalBasis, ProcessingPurpose } from "../../gen/tandem/platform/v1/retention_policy_pb.js";

/** Who may call a method. */
export type AccessRule =
  | { readonly principal: "anyone" }
  | { readonly principal: "carrier"; readonly evenSuspended?: true }
  | { readonly principal: "platform"; readonly scope: PlatformScope };

/**
 * What the disclosure log says of a method: the kind of reading, the purpose and the legal ground;
 * or why it discloses no records.
 */
export type DisclosureRule =
  | {
      readonly discloses: true;
      readonly kind: DisclosureKind;
      readonly purpose: ProcessingPurpose;
      readonly legalBasis: LegalBasis;
    }
  | { readonly discloses: false; readonly why: string };

/** Who may call a method. Undefined: the table does not name it, and nobody may. */
export function accessRuleOf(method: DescMethod): AccessRule | undefined {
  return RULES[method.parent.typeName]?.[method.name]?.[0];
}

/** What a method discloses. Undefined: the table does not name it, and it may deliver no record. */
export function disclosureRuleOf(method: DescMethod): DisclosureRule | undefined {
  return RULES[method.parent.typeName]?.[method.name]?.[1];
}

const anyone = { principal: "anyone" } as const;
const carrier = { principal: "carrier" } as const;
const evenSuspended = { principal: "carrier", evenSuspended: true } as const;
const platform = (scope: PlatformScope) => ({ principal: "platform", scope }) as const;

const reading = (purpose: ProcessingPurpose, legalBasis: LegalBasis) => (kind: DisclosureKind) =>
  ({ discloses: true, kind, purpose, legalBasis }) as const;
const nothing = (why: string) => ({ discloses: false, why }) as const;

const { FEED_BLOCK, GET, LIST, EXPORT } = DisclosureKind;
const reconcile = reading(ProcessingPurpose.RECONCILIATION, LegalBasis.CONTRACT);
const service = reading(ProcessingPurpose.USAGE_AND_BILLING, LegalBasis.CONTRACT);
const troubleshoot = reading(ProcessingPurpose.TROUBLESHOOTING, LegalBasis.LEGITIMATE_INTERESTS);
const answerPerson = reading(ProcessingPurpose.LEGAL_OBLIGATION, LegalBasis.LEGAL_OBLIGATION);

const SYSTEM = nothing("says nothing of carriers");
const CARRIER = nothing("an agreement or a carrier, not its records");
const POSITION = nothing("positions, not entries");
const OUTCOME = nothing("tells what became of what the caller itself sent");
const FIGURES = nothing("figures over many calls: no record, number or single call is in them");
const ABOUT = nothing("about policies, holds, erasures or the logs: names records at most, and shows none");

/**
 * The one table of methods: who may call each, and what is logged of it as a disclosure. Tests walk
 * the contract and fail for a method that is not in it.
 */
const RULES: Readonly<Record<string, Readonly<Record<string, readonly [AccessRule, DisclosureRule]>>>> = {
  "grpc.health.v1.Health": {
    Check: [anyone, SYSTEM],
    List: [anyone, SYSTEM],
    Watch: [anyone, SYSTEM],
  },
  "grpc.reflection.v1.ServerReflection": {
    ServerReflectionInfo: [anyone, SYSTEM],
  },
  "grpc.reflection.v1alpha.ServerReflection": {
    ServerReflectionInfo: [anyone, SYSTEM],
  },
  "tandem.carrier.v1.AgreementService": {
    GetAgreement: [evenSuspended, CARRIER],
  },
  "tandem.carrier.v1.NumberService": {
    GetNumber: [carrier, service(GET)],
    ListNumbers: [carrier, service(LIST)],
    WatchNumbers: [carrier, service(FEED_BLOCK)],
    ProvisionNumbers: [carrier, OUTCOME],
    ReleaseNumbers: [carrier, OUTCOME],
  },
  "tandem.carrier.v1.CdrService": {
    StreamCdrs: [carrier, reconcile(FEED_BLOCK)],
    ListCdrs: [carrier, reconcile(LIST)],
    GetCdr: [carrier, troubleshoot(GET)],
    GetCdrFeed: [carrier, POSITION],
    ResolveCdrCursor: [carrier, POSITION],
    CommitCdrCursor: [carrier, POSITION],
    ListCdrConsumers: [carrier, POSITION],
    SummarizeQuality: [carrier, FIGURES],
  },
  "tandem.carrier.v1.DurationService": {
    UploadDurations: [carrier, OUTCOME],
    AppendDurations: [carrier, OUTCOME],
    GetUpload: [carrier, OUTCOME],
    ListUploads: [carrier, OUTCOME],
    ListRejects: [carrier, reconcile(LIST)],
    ListDurations: [carrier, reconcile(LIST)],
  },
  "tandem.carrier.v1.ReconciliationService": {
    GetReconciliationSummary: [carrier, FIGURES],
    ListDiscrepancies: [carrier, reconcile(LIST)],
    WatchDiscrepancies: [carrier, reconcile(FEED_BLOCK)],
    ExplainCall: [carrier, troubleshoot(GET)],
  },
  "tandem.platform.v1.CarrierService": {
    CreateCarrier: [platform("carriers.write"), CARRIER],
    GetCarrier: [platform("carriers.read"), CARRIER],
    ListCarriers: [platform("carriers.read"), CARRIER],
    UpdateCarrier: [platform("carriers.write"), CARRIER],
    SetNumberRanges: [platform("carriers.write"), CARRIER],
    GetNumberRanges: [platform("carriers.read"), CARRIER],
  },
  "tandem.platform.v1.NumberService": {
    GetNumber: [platform("numbers.read"), service(GET)],
    ListNumbers: [platform("numbers.read"), service(LIST)],
    ListNumberHistory: [platform("numbers.read"), service(LIST)],
    AssignNumbers: [platform("numbers.write"), OUTCOME],
    UnassignNumbers: [platform("numbers.write"), OUTCOME],
    PortNumbers: [platform("numbers.write"), OUTCOME],
  },
  "tandem.platform.v1.CdrService": {
    IngestCdrs: [platform("cdrs.write"), OUTCOME],
    GetCdr: [platform("cdrs.read"), troubleshoot(GET)],
    ListCdrs: [platform("cdrs.read"), troubleshoot(LIST)],
  },
  "tandem.platform.v1.ReconciliationService": {
    GetReconciliationSummary: [platform("reconciliation.read"), FIGURES],
    ListDiscrepancies: [platform("reconciliation.read"), reconcile(LIST)],
    GetReconciliationStatus: [platform("reconciliation.read"), FIGURES],
    ExplainCall: [platform("reconciliation.read"), troubleshoot(GET)],
  },
  "tandem.platform.v1.UsageService": {
    QueryUsage: [platform("usage.read"), service(LIST)],
    ExportUsage: [platform("usage.read"), service(EXPORT)],
    ClosePeriod: [platform("usage.write"), FIGURES],
    ListRestatements: [platform("usage.read"), service(LIST)],
  },
  "tandem.platform.v1.PrivacyService": {
    ListRetentionPolicies: [platform("privacy.read"), ABOUT],
    SetRetentionPolicy: [platform("privacy.write"), ABOUT],
    CreateHold: [platform("privacy.write"), ABOUT],
    ReleaseHold: [platform("privacy.write"), ABOUT],
    ListHolds: [platform("privacy.read"), ABOUT],
    ErasePhoneNumber: [platform("privacy.write"), ABOUT],
    GetErasure: [platform("privacy.read"), ABOUT],
    ExportPhoneNumber: [platform("privacy.read"), answerPerson(EXPORT)],
    ListDisclosures: [platform("privacy.read"), ABOUT],
    ListAuditEvents: [platform("privacy.read"), ABOUT],
    VerifyAuditLog: [platform("privacy.read"), ABOUT],
  },
};
