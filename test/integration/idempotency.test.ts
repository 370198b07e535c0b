// Which methods may be repeated, and which may be called by an address, are promises of the
// contract.
import type { DescField, DescMessage, DescMethod } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { isAdministrativeAct } from "../../src/rpc/shared/audit/administrative-acts.ts";
import { accessRuleOf } from "../../src/rpc/shared/method-rules.ts";
import { listMethods } from "../support/contract.ts";

const METHODS = [...(await listMethods("carrier")), ...(await listMethods("platform"))];
const nameOf = ({ name, parent }: DescMethod) => `${parent.typeName}/${name}`;

/** The verbs of methods that read. */
const READS = /^(Get|List|Stream|Watch|Resolve|Summarize|Explain|Query|Export|Verify)(?=[A-Z])/;

/**
 * Texts of requests that hold no phone number, by their names: their form has no room for one, or
 * Tandem made them, or they name a carrier or an upload. Every other text may hold one, names of
 * records, customers and trunks too: people build them from numbers.
 */
const NO_NUMBER: ReadonlySet<string> = new Set([
  "page_token",
  "carrier_id",
  "carrier_ids",
  "upload_id",
  "erasure_id",
  "country_code",
  "legal_country",
  "region",
  "expected_hash",
]);

function mayHoldNumber(message: DescMessage, within: readonly DescMessage[] = []): boolean {
  if (within.includes(message)) return false;
  return message.fields.some((field) => fieldMayHoldNumber(field, [...within, message]));
}

function fieldMayHoldNumber(field: DescField, within: readonly DescMessage[]): boolean {
  if (field.message)
    return field.message.typeName !== "google.protobuf.Timestamp" && mayHoldNumber(field.message, within);
  const isText = field.scalar !== undefined && TEXTS.has(field.scalar);
  return isText && !NO_NUMBER.has(field.name);
}

/** descriptor.proto's TYPE_STRING and TYPE_BYTES. */
const TEXTS: ReadonlySet<number> = new Set([9, 12]);

function expectedLevel(method: DescMethod): Idempotency {
  if (!READS.test(method.name)) return Idempotency.IDEMPOTENCY_UNKNOWN;
  const hasGet = method.methodKind === "unary" && !mayHoldNumber(method.input);
  return hasGet ? Idempotency.NO_SIDE_EFFECTS : Idempotency.IDEMPOTENT;
}

test.each(METHODS.map((method) => [nameOf(method), method] as const))(
  "%s: a read may be repeated, and has a GET only if no number can get into its address",
  (_name, method) => {
    expect(Idempotency[method.idempotency]).toBe(Idempotency[expectedLevel(method)]);
  },
);

test("what is an act, or needs a scope of writing, is no read; an export is written down, and changes nothing", () => {
  const reads = METHODS.filter(({ name }) => READS.test(name));
  expect(reads.filter(isAdministrativeAct).map(({ name }) => name)).toEqual(["ExportPhoneNumber"]);
  const scopes = reads
    .map((method) => accessRuleOf(method))
    .flatMap((rule) => (rule && "scope" in rule ? [rule.scope] : []));
  expect(scopes.filter((scope) => scope.endsWith(".write"))).toEqual([]);
});

test("these methods have a GET, and no others", () => {
  const withGet = METHODS.filter(({ idempotency }) => idempotency === Idempotency.NO_SIDE_EFFECTS);
  expect(withGet.map(nameOf).toSorted()).toEqual([
    "tandem.carrier.v1.AgreementService/GetAgreement",
    "tandem.carrier.v1.CdrService/GetCdrFeed",
    "tandem.carrier.v1.CdrService/ListCdrConsumers",
    "tandem.carrier.v1.DurationService/GetUpload",
    "tandem.carrier.v1.DurationService/ListRejects",
    "tandem.carrier.v1.DurationService/ListUploads",
    "tandem.platform.v1.CarrierService/GetCarrier",
    "tandem.platform.v1.CarrierService/GetNumberRanges",
    "tandem.platform.v1.CarrierService/ListCarriers",
    "tandem.platform.v1.PrivacyService/GetErasure",
    "tandem.platform.v1.PrivacyService/ListHolds",
    "tandem.platform.v1.PrivacyService/ListRetentionPolicies",
    "tandem.platform.v1.PrivacyService/VerifyAuditLog",
    "tandem.platform.v1.ReconciliationService/GetReconciliationStatus",
  ]);
});
