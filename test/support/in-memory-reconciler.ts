import { toBinary } from "@bufbuild/protobuf";
import { voteBucket } from "../../src/domain/matching/clocks/clock-votes.ts";
import { pairFarCalls } from "../../src/domain/matching/clocks/far-calls.ts";
import {
  type CarrierFacts,
  type MatchingAgreement,
  type MatchingInput,
  type PlatformFacts,
  recordText,
} from "../../src/domain/matching/facts.ts";
import { setApart } from "../../src/domain/matching/lone-results.ts";
import { matchCalls } from "../../src/domain/matching/match-calls.ts";
import { numbersOfParty } from "../../src/domain/matching/number-keys.ts";
import { partLonePairs } from "../../src/domain/matching/pairing/lone-pairs.ts";
import type { CallResult } from "../../src/domain/matching/result.ts";
import { microsFromTimestamp, msFromMicros } from "../../src/domain/time/instant.ts";
import { ZoneDays } from "../../src/domain/time/zone-days.ts";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { type CallDuration, CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { RecordKind } from "../../src/gen/tandem/type/v1/call_pb.js";
import { DiscrepancyCause, DiscrepancyStatus } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import { CarrierVotes, type ClockVote } from "../../src/reconcile/clocks/carrier-votes.ts";
import { evidenceOf } from "../../src/reconcile/clocks/clock-evidence.ts";
import { carrierFacts, platformFacts } from "../../src/reconcile/facts-codec.ts";
import { judgedRow } from "../../src/reconcile/result-row.ts";
import type { Arriving } from "../../src/simulator/reconciliation/played-call.ts";
import type { FoundResult } from "../../src/simulator/reconciliation/wrong-calls.ts";
import type { LackingCall } from "../../src/store/reconciliation/clock-evidence.ts";
import type { StoredTip } from "../../src/store/reconciliation/reconcile-input.ts";

/** Both sides' records in the order of arrival, and by what to judge them. */
export interface InMemoryInput {
  readonly cdrs: readonly Arriving<CallDetailRecord>[];
  readonly durations: readonly Arriving<CallDuration>[];
  readonly graceMs: number;
  readonly toleranceMs: number;
  readonly nowMs: number;
  /** To whom calls are attributed. */
  readonly carrier: { readonly numbers: readonly { readonly phoneNumber: string }[] };
  /** Which directions the carrier reports. Default: outbound calls. */
  readonly directions?: readonly number[];
}

const MOST_ROUNDS = 12;
const DAY = 86_400_000_000n;
const UTC_DAYS = new ZoneDays(
  "1970-01-01",
  Array.from({ length: 30_000 }, (_, day) => BigInt(day) * DAY),
);

/**
 * Reconciles without a database: the decoder, the matcher and the votes are those of the job, all
 * records are looked at at once, and matched again until clock offsets and rounding rules no longer
 * change.
 */
export function reconcileInMemory(input: InMemoryInput): CallResult[] {
  const held = new Set(input.carrier.numbers.map(({ phoneNumber }) => phoneNumber));
  const platform = tipsOf(input.cdrs, (record) => encodeCdr(record, held)).map(platformFacts);
  const carrier = tipsOf(input.durations, (record) => encodeDuration(record, held)).map(carrierFacts);
  const said = clockVotes(platform, carrier);
  let votes = new CarrierVotes([], []);
  votes.hear(said);
  for (let round = 0; round < MOST_ROUNDS; round += 1) {
    const current = votes;
    const results = matchBothWays({
      platform,
      carrier,
      agreement: agreementOf(input),
      offsetOf: (record) => current.offsetOf(record),
      roundingOf: (record) => current.roundingOf(record),
      nowMs: input.nowMs,
      offsetsOf: (record) => current.offsetsOf(record),
    });
    votes = new CarrierVotes([], []);
    votes.hear(said);
    for (const result of results) votes.count(judgedRow(result, UTC_DAYS), 1);
    if (decisionsOf(votes) === decisionsOf(current)) return results;
  }
  throw new Error(`offsets and pairs do not agree after ${MOST_ROUNDS} rounds`);
}

// All by the matcher, and lone pairs apart, as a turn does it.
function matchBothWays({
  offsetsOf,
  ...input
}: MatchingInput & { readonly offsetsOf: (record: CarrierFacts) => number[] }): CallResult[] {
  const results = matchCalls(input);
  const offsets = (record: CarrierFacts) => offsetsOf(record).filter((offsetMs) => offsetMs !== 0);
  const apart = setApart(partLonePairs(input.platform, input.carrier, offsets), input);
  const lone = apart.lone.map(({ pair, status, basis }) =>
    tellResult({ platform: pair.platform, carrier: [pair.carrier], status, basis, matchedBy: pair.by, findings: [] }),
  );
  const told = new Set([...lone, ...matchCalls(apart.input).map(tellResult)]);
  const other = results.map(tellResult).find((each) => !told.has(each));
  if (other !== undefined || told.size !== results.length) throw new Error(`lone pairs set apart: not ${other}`);
  return results;
}

type Told = Pick<CallResult, "platform" | "carrier" | "status" | "basis" | "matchedBy" | "findings">;

function tellResult({ platform, carrier, status, basis, matchedBy, findings }: Told): string {
  const records = [platform, ...carrier].map((record) => record && recordText(record));
  return JSON.stringify([records, platform !== undefined, status, basis, matchedBy, findings]);
}

/** A result in the names of the contract. */
export function foundResult({ platform, carrier, status, findings }: CallResult): FoundResult {
  return {
    platformRecordId: platform?.recordId,
    carrierRecordIds: carrier.map(({ recordId }) => recordId),
    status: DiscrepancyStatus[status],
    causes: findings.map(({ cause }) => DiscrepancyCause[cause]),
  };
}

function agreementOf({ graceMs, toleranceMs, directions = [1] }: InMemoryInput): MatchingAgreement {
  return { graceMs, toleranceMs, scopeAt: () => ({ directions, unanswered: false, emergency: false }) };
}

/** As the store keeps them: the newest revision of each identity; of a VOID, what it takes back. */
function tipsOf<T extends CallDetailRecord | CallDuration>(
  arriving: readonly Arriving<T>[],
  encode: (record: T) => Pick<StoredTip, "startMs" | "payload" | "phoneNumber">,
): StoredTip[] {
  const tips = new Map<string, StoredTip>();
  for (const { record, arrivalMs } of arriving) {
    const { recordId, recordDate, revision = 1, kind } = record;
    const isVoid = kind === RecordKind.VOID;
    const before = tips.get(`${recordDate}/${recordId}`);
    if (before !== undefined && before.revision > revision) continue;
    const report = isVoid && before !== undefined ? before : encode(record);
    const times = { ingestMs: arrivalMs, firstIngestMs: before?.firstIngestMs ?? arrivalMs };
    const { startMs, payload, phoneNumber } = report;
    const known = { startMs, payload, phoneNumber, customerId: "customer" };
    tips.set(`${recordDate}/${recordId}`, { recordId, recordDate, revision, isVoid, ...times, ...known });
  }
  return [...tips.values()];
}

function encodeCdr(record: CallDetailRecord, held: ReadonlySet<string>) {
  const { times, parties, direction } = record;
  return {
    startMs: times?.inviteTime && msFromMicros(microsFromTimestamp(times.inviteTime)),
    payload: Buffer.from(toBinary(CallDetailRecordSchema, record)),
    phoneNumber: attributedTo(direction, parties ?? {}, held),
  };
}

function encodeDuration(record: CallDuration, held: ReadonlySet<string>) {
  const time = record.inviteTime ?? record.answerTime;
  return {
    startMs: time && msFromMicros(microsFromTimestamp(time)),
    payload: Buffer.from(toBinary(CallDurationSchema, record)),
    phoneNumber: attributedTo(record.direction, record, held),
  };
}

type Parties = Partial<Pick<CallDuration, "redirecting" | "asserted" | "calling" | "called">>;

// By the first of them that may be a number of the carrier's, as the contract attributes calls.
function attributedTo(
  direction: number,
  { redirecting, asserted, calling, called }: Parties,
  held: ReadonlySet<string>,
): string | undefined {
  const parties = direction === 1 ? [redirecting, asserted, calling] : [called];
  const numbers = parties.flatMap((party) => (party === undefined ? [] : numbersOfParty(party)));
  return numbers.find((number) => held.has(number));
}

/** What all records say of the clock, as they stand. */
function clockVotes(platform: readonly PlatformFacts[], carrier: readonly CarrierFacts[]): ClockVote[] {
  const ever = { startMs: Number.NEGATIVE_INFINITY, endMs: Number.POSITIVE_INFINITY };
  const { minutes, lacking } = evidenceOf(partLonePairs(platform, carrier), [ever]);
  const near = minutes.flatMap(({ minute, votes }) =>
    Object.entries(votes).flatMap(([trunkId, each]) =>
      Object.entries(each).map(([bucket, by]) => ({ trunkId, hourMs: hourOf(minute), bucket, isFar: false, by })),
    ),
  );
  const far: ClockVote[] = [];
  for (const calls of Map.groupBy(lacking, ({ pairKey }) => pairKey).values()) {
    const ofSide = (side: number) => calls.filter((call) => call.side === side).map(farCall);
    for (const [{ call, startMs }, mate] of pairFarCalls(ofSide(1), ofSide(2))) {
      const bucket = voteBucket(startMs - mate.call.startMs, mate.isAlike);
      far.push({ trunkId: call.trunkId, hourMs: hourOf(call.startTime), bucket, isFar: true, by: 1 });
    }
  }
  return [...near, ...far];
}

function farCall(call: LackingCall) {
  const lengthMs = call.lengthMs === undefined ? undefined : Number(call.lengthMs);
  return { call, startMs: msFromMicros(call.startTime), lengthMs };
}

function hourOf(time: bigint): number {
  return Math.floor(msFromMicros(time) / 3_600_000) * 3_600_000;
}

function decisionsOf(votes: CarrierVotes): string {
  const { hours, days } = votes.decisions();
  return JSON.stringify([[...hours].sort(), [...days].sort()]);
}
