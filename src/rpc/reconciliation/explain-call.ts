import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { Carrier } from "../../domain/carriers/carrier.ts";
import { invalidArgument, TandemError } from "../../domain/errors.ts";
import { bigintOf } from "../../domain/known-numbers.ts";
import type { EvidenceStep, RefusedCandidate } from "../../domain/matching/explain/evidence.ts";
import type { NearMiss } from "../../domain/matching/explain/near-misses.ts";
import type { CarrierFacts, RecordName } from "../../domain/matching/facts.ts";
import type { CallResult } from "../../domain/matching/result.ts";
import { messageOf } from "../../domain/message-of.ts";
import { PLATFORM_SIDE } from "../../domain/record-kind.ts";
import { DAY_MS, isDay, type Micros, microsFromMs } from "../../domain/time/instant.ts";
import { cdrMessage } from "../../feed/cdr-feed.ts";
import {
  CallExplanationSchema as OwnExplanationSchema,
  type ExplainCallRequest as OwnRequest,
} from "../../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import {
  type CallExplanation,
  CallExplanationSchema,
  type ExplainCallRequest,
} from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import type { CallDetailRecord } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import type { CallDuration } from "../../gen/tandem/type/v1/call_duration_pb.js";
import type { Discrepancy } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { type Reconciled, reconciled } from "../../reconcile/carrier.ts";
import { type ExplainedCall, explainRecord } from "../../reconcile/explain-record.ts";
import { findingFields, resultMessage } from "../../reconcile/result-codec.ts";
import { carrierTransaction, systemTransaction } from "../../store/database/database.ts";
import { readClock, type Tx } from "../../store/database/run.ts";
import type { CallResultRow } from "../../store/reconciliation/call-result-columns.ts";
import {
  type ExplainedRecord,
  findCarriersOfCall,
  findExplainedRecords,
  type NamedTarget,
} from "../../store/reconciliation/explain-targets.ts";
import { listCdrs } from "../../store/records/cdr-lists.ts";
import { listDurations } from "../../store/records/durations.ts";
import { readDaysOf } from "../../store/zone-days/zone-days.ts";
import { carrierOf } from "../shared/access/caller.ts";
import { requireCarrier, type Services } from "../shared/context.ts";
import { discloseRecords } from "../shared/disclosure/disclose.ts";
import { disclosedExplanations, type Explained } from "../shared/disclosure/disclosed-records.ts";
import { seesMaskedParties } from "../shared/masking/mask-interceptor.ts";
import { attributeForReader } from "../shared/masking/reader-mask.ts";
import { durationMessage } from "../shared/messages/duration.ts";
import { resultInForce, waitingStep } from "./result-in-force.ts";

/** Most calls that one request explains. */
const MAX_EXPLANATIONS = 100;
/** Most carriers that a call's legs are looked for at. */
const MAX_CARRIERS = 100;
/** How a call is explained: on one state of the database, of which nothing is changed. */
const EXPLAINING = { statementTimeoutMs: 30_000, snapshot: true, byIndexOnly: true };
/** Most calls that one request of a carrier explains. */
const MAX_OWN_EXPLANATIONS = 20;

/**
 * Explains the calls that a request names, one after the other; `truncated` when there are more
 * than 100.
 */
export async function explainCalls(services: Services, request: ExplainCallRequest, context: HandlerContext) {
  const name = recordName(request);
  const explanations: Explained[] = [];
  let found = 0;
  for (const carrierId of await carriersOf(services, request, name)) {
    const settings = await requireCarrier(services, carrierId);
    const most = MAX_EXPLANATIONS - explanations.length;
    const read = (tx: Tx) => explainNamed(services, tx, settings, { name, most });
    const ofCarrier = await systemTransaction(services.db, read, EXPLAINING);
    found += ofCarrier.found;
    explanations.push(...(await dated(services, settings, ofCarrier.explanations)));
    if (found > MAX_EXPLANATIONS) break;
  }
  if (explanations.length === 0) throw notFound(request);
  const disclosed = disclosedExplanations(explanations);
  await discloseRecords(services, context, { request, masked: seesMaskedParties(context), disclosed });
  return { explanations: explanations.map(({ message }) => message), truncated: found > MAX_EXPLANATIONS };
}

/**
 * Explains calls of one carrier to itself, by the same code: in a transaction that sees its rows
 * only, so that no id of another carrier's finds anything. `truncated` when there are more than 20.
 */
export async function explainOwnCalls(services: Services, request: OwnRequest, context: HandlerContext) {
  const { carrierId } = carrierOf(context);
  const name = recordName(request);
  const settings = await requireCarrier(services, carrierId);
  const most = MAX_OWN_EXPLANATIONS;
  const read = (tx: Tx) => explainNamed(services, tx, settings, { name, most });
  const { explanations: undated, found } = await carrierTransaction(services.db, carrierId, read, EXPLAINING);
  const explanations = await dated(services, settings, undated);
  if (explanations.length === 0) throw notFound(request);
  const disclosed = disclosedExplanations(explanations);
  await discloseRecords(services, context, { request, masked: false, disclosed });
  // The messages are those of the platform, without the carrier's id.
  return { explanations: explanations.map(({ message }) => ownExplanation(message)), truncated: found > most };
}

function ownExplanation({ $typeName: _, $unknown: __, carrierId: ___, ...own }: CallExplanation) {
  return create(OwnExplanationSchema, own as unknown as MessageInitShape<typeof OwnExplanationSchema>);
}

/**
 * The calls of one carrier that a name means, at most `most`; and how many records it means,
 * counted to one more.
 */
async function explainNamed(
  services: Services,
  tx: Tx,
  settings: Carrier,
  { name, most }: { name: NamedTarget; most: number },
): Promise<{ explanations: Undated[]; found: number }> {
  const { carrierId } = settings;
  const records = await findExplainedRecords(tx, carrierId, name, most + 1);
  const carrier = reconciled(settings, await services.erasures.inForce.read(tx, carrierId));
  return { explanations: await explainEach(tx, carrier, records.slice(0, most)), found: records.length };
}

/** An explanation whose call has no day yet, if it is not reconciled; and when the call began. */
interface Undated extends Explained {
  readonly start: Micros;
}

// Days are not a carrier's to read, and a snapshot cannot write those that nobody has asked for.
async function dated(
  services: Services,
  { timeZone }: Carrier,
  found: readonly Undated[],
): Promise<readonly Explained[]> {
  for (const { message, start } of found) {
    if (message.result?.callDate !== "") continue;
    const days = await systemTransaction(services.db, (tx) => readDaysOf(tx, timeZone, [start]));
    message.result.callDate = days.dayOf(start);
  }
  return found;
}

/** What both sides' requests have in common. */
type Target = Pick<ExplainCallRequest | OwnRequest, "target" | "recordDate">;

function recordName({ target, recordDate }: Target): NamedTarget {
  if (recordDate !== undefined && !isDay(recordDate)) throw invalidArgument("record_date", "expected YYYY-MM-DD");
  if (!target.value || target.value.length > MAX_NAME || target.value.includes("\0"))
    throw invalidArgument("target", `expected one of its ids, 1 to ${MAX_NAME} characters without NUL`);
  switch (target.case) {
    case "callId":
      return { by: "callId", callId: target.value };
    case "discrepancyId":
      return { by: "discrepancyId", discrepancyId: target.value };
    case "platformRecordId":
    case "carrierRecordId":
      return { by: target.case, recordId: target.value, recordDate };
    default:
      return target satisfies never;
  }
}

const MAX_NAME = 128;

async function carriersOf(services: Services, request: ExplainCallRequest, name: NamedTarget): Promise<string[]> {
  if (request.carrierId !== "") return [(await requireCarrier(services, request.carrierId)).carrierId];
  if (name.by !== "callId") throw invalidArgument("carrier_id", "is required unless the target is a call_id");
  return systemTransaction(services.db, (tx) => findCarriersOfCall(tx, name.callId, MAX_CARRIERS));
}

function notFound({ target, ...request }: ExplainCallRequest | OwnRequest): TandemError {
  return new TandemError("RECORD_NOT_FOUND", "no call with this id", {
    ...("carrierId" in request && { carrier_id: request.carrierId }),
    [NAMES[target.case ?? "callId"]]: target.value ?? "",
  });
}

/** Targets as the contract spells them. */
const NAMES = {
  callId: "call_id",
  discrepancyId: "discrepancy_id",
  platformRecordId: "platform_record_id",
  carrierRecordId: "carrier_record_id",
} as const;

async function explainEach(tx: Tx, carrier: Reconciled, records: readonly ExplainedRecord[]): Promise<Undated[]> {
  const now = await readClock(tx);
  const explanations: Undated[] = [];
  for (const record of records) {
    const explained = await explainRecord(tx, carrier, record, now);
    if (!explained) continue;
    const message = await explanation(tx, carrier.carrierId, explained);
    attributeForReader(message, explained.stored?.phoneNumber);
    const { result, named } = explained.evidence;
    explanations.push({ message, named, start: microsFromMs(result.startMs) });
  }
  return explanations;
}

// What stands is shown, and not what it will be.
async function explanation(
  tx: Tx,
  carrierId: string,
  { evidence, stored, isInForce, near }: ExplainedCall,
): Promise<CallExplanation> {
  const { result, steps, refused } = evidence;
  const shown =
    stored === undefined || isInForce
      ? {
          result: resultNow(carrierId, result, stored),
          platform: result.platform,
          carrier: result.carrier,
          steps,
        }
      : {
          result: resultInForce(carrierId, stored),
          platform: stored.side === PLATFORM_SIDE ? stored : undefined,
          carrier: stored.carrierRecords,
          steps: [waitingStep(stored, result.status), ...steps],
        };
  const carrierRecords: CallDuration[] = [];
  for (const record of shown.carrier) carrierRecords.push(...(await readDuration(tx, carrierId, record)));
  return messageOf(CallExplanationSchema, {
    carrierId,
    result: shown.result,
    platformRecord: shown.platform && (await readCdr(tx, carrierId, shown.platform)),
    carrierRecords,
    steps: shown.steps.map(stepFields),
    refusedCandidates: refused.map(refusedFields),
    nearRecords: near.map(nearFields),
  });
}

function resultNow(carrierId: string, result: CallResult, stored: CallResultRow | undefined): Discrepancy {
  const message = resultMessage(result, {
    carrierId,
    discrepancyId: stored?.discrepancyId ?? "",
    revision: stored?.discrepancyRevision ?? 0,
    callDate: stored?.callDate ?? "",
    firstSeenTime: stored?.firstSeenTime,
    resolvedTime: stored?.resolvedTime,
  });
  if (stored?.sequence) message.sequence = stored.sequence;
  return message;
}

async function readCdr(
  tx: Tx,
  carrierId: string,
  { recordId, recordDate }: RecordName,
): Promise<CallDetailRecord | undefined> {
  const [stored] = await listCdrs(tx, carrierId, { recordId, recordDate, conditions: {} }, { limit: 1 }, false);
  return stored && cdrMessage(stored);
}

async function readDuration(
  tx: Tx,
  carrierId: string,
  facts: RecordName & Partial<Pick<CarrierFacts, "inviteMs" | "answerMs">>,
): Promise<CallDuration[]> {
  const startMs = facts.inviteMs ?? facts.answerMs ?? Date.parse(`${facts.recordDate}T12:00:00Z`);
  const around = { start: microsFromMs(startMs - DAY_MS), end: microsFromMs(startMs + DAY_MS) };
  const search = { ...around, recordId: facts.recordId, after: undefined, withVoids: true, limit: 10 };
  const found = (await listDurations(tx, carrierId, search)).map(durationMessage);
  return found.filter((message) => message.recordDate === facts.recordDate).slice(0, 1);
}

function stepFields(step: EvidenceStep) {
  const values = step.values.map(({ name: valueName, ...value }) => ({ valueName, ...value }));
  return { ...step, values, findings: step.findings?.map(findingFields) };
}

function refusedFields(candidate: RefusedCandidate) {
  return { ...candidate, startDeltaMs: bigintOf(candidate.startDeltaMs) };
}

function nearFields({ connectedMs, billedS, ...near }: NearMiss) {
  return {
    ...near,
    startDeltaMs: bigintOf(near.startDeltaMs),
    connectedDurationMs: bigintOf(connectedMs),
    billedDurationS: bigintOf(billedS),
  };
}
