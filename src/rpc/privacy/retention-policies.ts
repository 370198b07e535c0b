import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { isCarrierId } from "../../domain/carriers/carrier.ts";
import { isCountry } from "../../domain/carriers/country.ts";
import type { Stated } from "../../domain/enum-values.ts";
import { invalidArgument, TandemError } from "../../domain/errors.ts";
import { type PolicyInForce, policiesInForce, type SetPolicy } from "../../domain/privacy/retention.ts";
import { type Bound, findRule } from "../../domain/privacy/retention-law.ts";
import { timestampFromMicros } from "../../domain/time/instant.ts";
import type {
  ListRetentionPoliciesRequest,
  SetRetentionPolicyRequest,
} from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { SetRetentionPolicyResponseSchema } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import {
  LegalBasis,
  ProcessingPurpose,
  type RetentionPolicy,
  RetentionPolicySchema,
} from "../../gen/tandem/platform/v1/retention_policy_pb.js";
import { RecordPart } from "../../gen/tandem/type/v1/agreement_pb.js";
import { listLegalCountries } from "../../store/carriers/carriers.ts";
import { systemTransaction } from "../../store/database/database.ts";
import type { Tx } from "../../store/database/run.ts";
import { readSetPolicies, type StoredPolicy, writePolicy } from "../../store/privacy/retention-policies.ts";
import { act } from "../shared/act.ts";
import { actorOf } from "../shared/audit/audit.ts";
import { requireCarrier, type Services } from "../shared/context.ts";
import { ListPage } from "../shared/list-page.ts";
import { fieldChecks, isText } from "../shared/lists.ts";
import { repeatableCall } from "../shared/repeatable-call.ts";

export async function listPolicies(services: Services, request: ListRetentionPoliciesRequest, context: HandlerContext) {
  const { countryCode, carrierId, recordPart } = request;
  if (countryCode !== "" && !isCountry(countryCode))
    throw invalidArgument("country_code", "expected an ISO 3166-1 alpha-2 code");
  if (carrierId !== "" && !isCarrierId(carrierId)) throw invalidArgument("carrier_id", "expected a carrier's id");
  if (recordPart !== 0 && !isStated(RecordPart, recordPart))
    throw invalidArgument("record_part", "expected a part, or none");
  const scope = ["ListRetentionPolicies", countryCode, carrierId, String(recordPart)];
  const page = await ListPage.open(services, context, request, scope);
  const after = page.after?.["after"] ?? "";
  const policies = await systemTransaction(services.db, (tx) => readPolicies(tx, countryCode, carrierId));
  const found = policies
    .filter(({ part }) => recordPart === 0 || part === recordPart)
    .map((policy) => ({ policy, key: sortKey(policy) }))
    .filter(({ key }) => key > after)
    .sort((left, right) => (left.key < right.key ? -1 : 1));
  const show = ({ policy }: (typeof found)[number]) => policyMessage(policy);
  const { messages, last } = await page.cut(found, RetentionPolicySchema, show);
  return { policies: messages, nextPageToken: page.tokenAfter(last && { after: last.key }) };
}

/** The policies in force of all countries with carriers, and of carriers that have their own. */
export async function readPolicies(
  tx: Tx,
  countryCode: string,
  carrierId: string,
): Promise<(StoredPolicy | PolicyInForce)[]> {
  const countries = await listLegalCountries(tx, { countryCode, carrierId });
  const set = await readSetPolicies(tx);
  return countries.flatMap((country) => {
    if (carrierId !== "") return policiesInForce({ countryCode: country, carrierId }, set);
    const own = set.filter((policy) => policy.countryCode === country && policy.carrierId !== undefined);
    return [...policiesInForce({ countryCode: country, carrierId: "" }, set), ...own];
  });
}

function sortKey({ countryCode, carrierId, part, purpose }: PolicyInForce): string {
  return JSON.stringify([countryCode, carrierId ?? "", part, purpose]);
}

/** A policy in force as a message, with what its country's law asks. */
export function policyMessage(policy: StoredPolicy | PolicyInForce): MessageInitShape<typeof RetentionPolicySchema> {
  const { minimum, maximum, initial } = findRule(policy.countryCode, policy.part, policy.purpose);
  return {
    ...policy,
    recordPart: policy.part,
    minimum: boundMessage(minimum),
    maximum: boundMessage(maximum),
    initial: boundMessage(initial),
    initialInForce: policy.revision === 0n,
    updateTime: "updateTime" in policy ? timestampFromMicros(policy.updateTime) : undefined,
  };
}

function boundMessage(bound: Bound | undefined) {
  return bound && { dayCount: bound.days, source: bound.source };
}

export async function setPolicy(services: Services, request: SetRetentionPolicyRequest, context: HandlerContext) {
  const call = repeatableCall(services, request, context);
  const policy = readPolicy(request.policy);
  const { carrierId, countryCode } = policy;
  const { expectedRevision } = request;
  if (expectedRevision !== undefined && expectedRevision < 0n)
    throw invalidArgument("expected_revision", "expected 0 or more");
  if (carrierId !== undefined) {
    const carrier = await requireCarrier(services, carrierId);
    if (carrier.legalCountry !== countryCode)
      throw invalidArgument("policy.country_code", `expected the carrier's, ${carrier.legalCountry}`);
  }
  const work = async (tx: Tx) => {
    assertWithinBounds(policy);
    const stored = await writeRevision(tx, policy, expectedRevision, actorOf(context));
    return (
      stored && {
        answer: { policy: policyMessage(stored) },
        resource: `retention-policy/${countryCode}/${carrierId ?? "-"}/${policy.part}/${policy.purpose}`,
        changedFields: ["retention_days", "legal_basis", "source", "privacy_statement_version"],
        details: { retention_days: policy.retentionDays, source: policy.source, revision: Number(stored.revision) },
      }
    );
  };
  const acting = { context, call, carrierId, schema: SetRetentionPolicyResponseSchema };
  const response = await systemTransaction(services.db, (tx) => act(tx, acting, () => work(tx)));
  if (!response) throw new TandemError("STORE_UNAVAILABLE", "another call is setting this policy: call again");
  services.retention.forget();
  return response;
}

async function writeRevision(
  tx: Tx,
  policy: Omit<SetPolicy, "revision">,
  expected: bigint | undefined,
  actor: string,
): Promise<StoredPolicy | undefined> {
  const of = { countryCode: policy.countryCode, carrierId: policy.carrierId ?? "" };
  const before = (await readSetPolicies(tx, of)).find(
    (each) => each.carrierId === policy.carrierId && each.part === policy.part && each.purpose === policy.purpose,
  );
  const revision = before?.revision ?? 0n;
  if (expected !== undefined && expected !== revision) {
    const metadata = { current_revision: String(revision) };
    throw new TandemError("REVISION_MISMATCH", `the policy is at revision ${revision}`, metadata);
  }
  return writePolicy(tx, policy, revision, actor);
}

function assertWithinBounds({ countryCode, part, purpose, retentionDays }: Omit<SetPolicy, "revision">): void {
  const { minimum, maximum } = findRule(countryCode, part, purpose);
  const isShort = minimum !== undefined && retentionDays < minimum.days;
  const isLong = maximum !== undefined && retentionDays > maximum.days;
  const broken = (isShort && minimum) || (isLong && maximum) || undefined;
  if (!broken) return;
  const metadata = {
    minimum_days: String(minimum?.days ?? 1),
    maximum_days: String(maximum?.days ?? MAX_DAYS),
    source: broken.source,
  };
  const message = `retention_days: ${retentionDays} lies outside ${metadata.minimum_days} to ${metadata.maximum_days} days (${broken.source})`;
  const fieldViolations = [{ field: "policy.retention_days", description: message }];
  throw new TandemError("RETENTION_OUT_OF_BOUNDS", message, metadata, { fieldViolations });
}

const MAX_DAYS = 36_500;

function readPolicy(message: RetentionPolicy | undefined): Omit<SetPolicy, "revision"> {
  if (!message) throw invalidArgument("policy", "is required");
  const { check: expect, done } = fieldChecks("policy.");
  const { countryCode, carrierId, recordPart, purpose, legalBasis, retentionDays, source } = message;
  expect(isCountry(countryCode), "country_code", "expected an ISO 3166-1 alpha-2 code");
  expect(carrierId === undefined || isCarrierId(carrierId), "carrier_id", "expected a carrier's id, or none");
  expect(isStated(RecordPart, recordPart), "record_part", "is required: a part");
  expect(isStated(ProcessingPurpose, purpose), "purpose", "is required: a purpose");
  expect(isStated(LegalBasis, legalBasis), "legal_basis", "is required: a legal basis");
  expect(retentionDays >= 1 && retentionDays <= MAX_DAYS, "retention_days", `expected 1 to ${MAX_DAYS}`);
  expect(isText(source, 256), "source", "is required: 1 to 256 characters");
  expect(isText(message.privacyStatementVersion, 64), "privacy_statement_version", "is required: 1 to 64 characters");
  done();
  return {
    countryCode,
    carrierId,
    part: recordPart as Stated<RecordPart>,
    purpose: purpose as Stated<ProcessingPurpose>,
    legalBasis: legalBasis as Stated<LegalBasis>,
    retentionDays,
    source,
    privacyStatementVersion: message.privacyStatementVersion,
  };
}

function isStated(of: Readonly<Record<number, string>>, value: number): boolean {
  return value !== 0 && of[value] !== undefined;
}
