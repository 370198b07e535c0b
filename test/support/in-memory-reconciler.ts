import { toBinary } from "@bufbuild/protobuf";
import { microsFromMs, microsFromTimestamp } from "../../src/domain/instant.ts";
import { judgeVotes, voteBucket } from "../../src/domain/matching/clock-offset.ts";
import type { CarrierFacts, MatchingAgreement, PlatformFacts } from "../../src/domain/matching/facts.ts";
import { matchCalls } from "../../src/domain/matching/match-calls.ts";
import { type CallResult, MatchCause, MatchStatus } from "../../src/domain/matching/result.ts";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { type CallDuration, CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { RecordKind } from "../../src/gen/tandem/type/v1/call_pb.js";
import { CallDays } from "../../src/reconcile/call-days.ts";
import { pairKeyOf } from "../../src/reconcile/call-keys.ts";
import { carrierFacts, platformFacts } from "../../src/reconcile/facts-edge.ts";
import { clockHourMs, judgedRow, rawStartMs } from "../../src/reconcile/result-row.ts";
import { CarrierVotes } from "../../src/reconcile/votes.ts";
import type { Arriving } from "../../src/simulator/reconciliation/played-call.ts";
import type { FoundResult } from "../../src/simulator/reconciliation/score.ts";
import type { StoredTip } from "../../src/store/reconcile-input.ts";

/** Both sides' records in the order of arrival, and by what to judge them. */
export interface InMemoryInput {
  readonly cdrs: readonly Arriving<CallDetailRecord>[];
  readonly durations: readonly Arriving<CallDuration>[];
  readonly graceMs: number;
  readonly toleranceMs: number;
  readonly nowMs: number;
}

/** A zone is at most 14 h off, and its calls a minute more. */
const FAR_MS = 15 * 3_600_000;
const MOST_ROUNDS = 12;

/**
 * Reconciles without a database: the decoder, the matcher and the votes are those of the job, all records are looked at at once, and matched again until
 * clock offsets and rounding rules no longer change.
 */
export function reconcileInMemory(input: InMemoryInput): CallResult[] {
  const platform = tipsOf(input.cdrs, encodeCdr).map(platformFacts);
  const carrier = tipsOf(input.durations, encodeDuration).map(carrierFacts);
  const days = new CallDays("UTC");
  const far = new Map<string, FarVotes>();
  let votes = new CarrierVotes([], []);
  for (let round = 0; round < MOST_ROUNDS; round += 1) {
    const current = votes;
    const results = matchCalls({
      platform,
      carrier,
      agreement: agreementOf(input),
      offsetOf: (record) => current.offsetOf(record),
      roundingOf: (record) => current.roundingOf(record),
      nowMs: input.nowMs,
    });
    for (const [key, found] of findFarVotes(results)) far.set(key, found);
    votes = new CarrierVotes([], []);
    for (const result of results) votes.count(judgedRow(result, days), 1);
    for (const { trunkId, hourMs, sums } of far.values()) votes.setFar(trunkId, hourMs, sums);
    if (decisionsOf(votes) === decisionsOf(current)) return results;
  }
  throw new Error(`offsets and pairs do not agree after ${MOST_ROUNDS} rounds`);
}

/** A result in the names of the contract. */
export function foundResult({ platform, carrier, status, findings }: CallResult): FoundResult {
  return {
    platformRecordId: platform?.recordId,
    carrierRecordIds: carrier.map(({ recordId }) => recordId),
    status: nameOf(MatchStatus, status),
    causes: findings.map(({ cause }) => nameOf(MatchCause, cause)),
  };
}

function agreementOf({ graceMs, toleranceMs }: InMemoryInput): MatchingAgreement {
  return { graceMs, toleranceMs, scopeAt: () => ({ directions: [1], unanswered: false, emergency: false }) };
}

/** As the store keeps them: the newest revision of each identity; of a VOID, what it takes back. */
function tipsOf<T extends CallDetailRecord | CallDuration>(
  arriving: readonly Arriving<T>[],
  encode: (record: T) => { startTime: bigint | undefined; payload: Buffer; phoneNumber: string | undefined },
): StoredTip[] {
  const tips = new Map<string, StoredTip>();
  for (const [index, { record, arrivalMs }] of arriving.entries()) {
    const { recordId, recordDate, revision = 1, kind } = record;
    const isVoid = kind === RecordKind.VOID;
    const before = tips.get(`${recordDate}/${recordId}`);
    if (before !== undefined && before.revision > revision) continue;
    const report = isVoid && before !== undefined ? before : encode(record);
    const ingestTime = microsFromMs(arrivalMs);
    const firstIngestTime = before?.firstIngestTime ?? ingestTime;
    const identity = {
      recordId,
      recordDate,
      revision,
      isVoid,
      sequence: BigInt(index + 1),
      ingestTime,
      firstIngestTime,
    };
    const { startTime, payload, phoneNumber } = report;
    tips.set(`${recordDate}/${recordId}`, { ...identity, startTime, payload, phoneNumber, customerId: "customer" });
  }
  return [...tips.values()];
}

function encodeCdr(record: CallDetailRecord) {
  const { times, parties, direction } = record;
  return {
    startTime: times?.inviteTime && microsFromTimestamp(times.inviteTime),
    payload: Buffer.from(toBinary(CallDetailRecordSchema, record)),
    phoneNumber: attributedTo(direction, parties ?? {}),
  };
}

function encodeDuration(record: CallDuration) {
  const time = record.inviteTime ?? record.answerTime;
  return {
    startTime: time && microsFromTimestamp(time),
    payload: Buffer.from(toBinary(CallDurationSchema, record)),
    phoneNumber: attributedTo(record.direction, record),
  };
}

type Parties = Partial<Pick<CallDuration, "redirecting" | "asserted" | "calling" | "called">>;

// By the first of them that has a number, as the contract attributes calls.
function attributedTo(direction: number, { redirecting, asserted, calling, called }: Parties): string | undefined {
  const parties = direction === 1 ? [redirecting, asserted, calling] : [called];
  return parties.find((party) => party?.kind === 1)?.value;
}

interface FarVotes {
  readonly trunkId: string;
  readonly hourMs: number;
  readonly sums: Record<string, number>;
}

/** Where calls of a trunk and hour lack their counterparts, those of the same two parties that lack theirs too. */
function findFarVotes(results: readonly CallResult[]): Map<string, FarVotes> {
  const open = results.filter(isLacking);
  const platform = uniqueByPair(open.flatMap(({ platform: record }) => record ?? []));
  const carrier = uniqueByPair(open.flatMap((result) => (result.platform ? [] : result.carrier.slice(0, 1))));
  const found = new Map<string, FarVotes>();
  for (const [key, record] of carrier) {
    const call = platform.get(key);
    const differenceMs = call ? rawStartMs(record) - rawStartMs(call) : Number.POSITIVE_INFINITY;
    if (Math.abs(differenceMs) > FAR_MS) continue;
    const [trunkId, hourMs, bucket] = [record.trunkId ?? "", clockHourMs(record), voteBucket(differenceMs)];
    const entry = found.get(`${hourMs}/${trunkId}`) ?? { trunkId, hourMs, sums: {} };
    entry.sums[bucket] = (entry.sums[bucket] ?? 0) + 1;
    found.set(`${hourMs}/${trunkId}`, entry);
  }
  return new Map([...found].filter(([, { sums }]) => judgeVotes(sums) !== undefined));
}

function uniqueByPair<R extends PlatformFacts | CarrierFacts>(records: readonly R[]): Map<bigint, R> {
  const byPair = Map.groupBy(records, (record) => pairKeyOf(record));
  return new Map(
    [...byPair].flatMap(([key, [record, ...others]]) =>
      key === undefined || record === undefined || others.length > 0 ? [] : [[key, record] as const],
    ),
  );
}

function isLacking({ status, platform, carrier }: CallResult): boolean {
  const lacks = [MatchStatus.PENDING, MatchStatus.MISSING_AT_CARRIER, MatchStatus.MISSING_AT_PLATFORM] as number[];
  return lacks.includes(status) && (platform === undefined || carrier.length === 0);
}

function decisionsOf(votes: CarrierVotes): string {
  const { offsets, rules } = votes.decisions();
  const told = (decisions: ReadonlyMap<string, string>) =>
    [...decisions].filter(([, decision]) => decision !== "0" && decision !== "").sort();
  return JSON.stringify([told(offsets), told(rules)]);
}

function nameOf(names: Readonly<Record<string, number>>, value: number): string {
  return Object.keys(names).find((name) => names[name] === value) ?? String(value);
}
