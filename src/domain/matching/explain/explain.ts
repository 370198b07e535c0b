import { CARRIER_SIDE, PLATFORM_SIDE, type RecordKind } from "../../record-kind.ts";
import { carrierOf, judgePairing, judgeVoided } from "../call-results.ts";
import type { CarrierUnit } from "../call-unit.ts";
import type { CommonFacts, MatchingInput, RecordRef } from "../facts.ts";
import { pairCalls } from "../match-calls.ts";
import type { Pairing } from "../pairing/pairing.ts";
import { platformOf } from "../pairing/platform-parts.ts";
import type { CallResult } from "../result.ts";
import { type EvidenceStep, type ExplainedCall, type FoundCall, type RefusedCandidate, tellName } from "./evidence.ts";
import { explainAnswer, explainCause, explainDuration, explainGrace } from "./explain-judgement.ts";
import {
  explainClock,
  explainCorrelation,
  explainNumbers,
  explainScope,
  explainState,
  explainTime,
} from "./explain-pairing.ts";
import { explainDuplicate, explainSplit } from "./explain-parts.ts";
import { explainAssignment, findRefused } from "./explain-refused.ts";

/** A record to explain. */
export interface ExplainTarget extends Pick<RecordRef, "recordId" | "recordDate"> {
  readonly side: RecordKind["side"];
}

/** Why a call came out as it did. */
export interface CallEvidence {
  readonly result: CallResult;
  /**
   * In the order in which they are made; those that have nothing to do with the call are left out.
   */
  readonly steps: readonly EvidenceStep[];
  /**
   * Records of the other side that were considered and not taken, the nearest in time first; at
   * most 20.
   */
  readonly refused: readonly RefusedCandidate[];
  /** Records of both sides that a sentence names. */
  readonly named: readonly NamedRecord[];
}

/** A record, and whose it is. */
export interface NamedRecord {
  readonly side: RecordKind["side"];
  readonly record: RecordRef;
}

/**
 * Explains what became of a record's call: matches the input as `matchCalls` does, and tells what
 * each step looked at and came to. The input must hold all records that were judged together with
 * it (the result's span); more of them show more candidates. Undefined: the record is not among
 * them.
 */
export function explainCall(
  input: MatchingInput,
  target: ExplainTarget,
  { live, voided }: MatchedInput = matchToExplain(input),
): CallEvidence | undefined {
  const found = findCall(input, live, target) ?? findCall(input, voided, target);
  if (found === undefined) return undefined;
  const call = { ...found, refused: [...findRefused(found, PLATFORM_SIDE), ...findRefused(found, CARRIER_SIDE)] };
  const steps = STEPS.flatMap((explain) => explain(call) ?? []);
  const refused = call.refused.filter(({ side }) => side !== target.side);
  return { result: call.result, steps, refused, named: findNamed(input, steps, refused) };
}

function findNamed(
  { platform, carrier }: MatchingInput,
  steps: readonly EvidenceStep[],
  refused: readonly RefusedCandidate[],
): NamedRecord[] {
  const sentences = steps.map(({ explanation }) => explanation);
  const mates = refused.flatMap(({ pairedWith }) => (pairedWith ? [tellName(pairedWith)] : []));
  const told = [...sentences, ...mates].join(" ");
  const named = (side: RecordKind["side"], records: readonly RecordRef[]) =>
    records
      .filter((record) => told.includes(tellName(record)))
      .map(({ recordId, recordDate, revision }) => ({ side, record: { recordId, recordDate, revision } }));
  return [...named(PLATFORM_SIDE, platform), ...named(CARRIER_SIDE, carrier)];
}

interface Matched {
  readonly pairing: Pairing;
  readonly results: readonly CallResult[];
}

/** What `matchCalls` makes of an input, and how it came to that. */
export type MatchedInput = Readonly<Record<"live" | "voided", Matched>>;

/** Matches as `matchCalls` does, for calls to be explained without matching a second time. */
export function matchToExplain(input: MatchingInput): MatchedInput {
  const { live, voided } = pairCalls(input);
  return {
    live: { pairing: live, results: judgePairing(live, input) },
    voided: { pairing: voided, results: judgeVoided(voided, input) },
  };
}

const STEPS: readonly ((call: ExplainedCall) => EvidenceStep | undefined)[] = [
  explainState,
  explainScope,
  explainClock,
  explainCorrelation,
  explainNumbers,
  explainTime,
  explainAssignment,
  explainSplit,
  explainDuplicate,
  explainAnswer,
  explainDuration,
  explainGrace,
  explainCause,
];

function findCall(input: MatchingInput, { pairing, results }: Matched, target: ExplainTarget): FoundCall | undefined {
  const isTarget = (record: CommonFacts) =>
    record.recordId === target.recordId && record.recordDate === target.recordDate;
  const result = results.find(({ platform, carrier }) =>
    target.side === PLATFORM_SIDE ? platform !== undefined && isTarget(platform) : carrier.some(isTarget),
  );
  if (result === undefined) return undefined;
  const index = pairing.platform.findIndex(({ facts }) => facts === result.platform);
  return { input, pairing, result, platform: platformOf(pairing, index), carrier: findCarrier(pairing, index, result) };
}

function findCarrier(pairing: Pairing, platform: number, { carrier: [first] }: CallResult): CarrierUnit | undefined {
  if (first === undefined) return undefined;
  if (platform !== -1) return carrierOf(pairing, platform);
  return pairing.carrier.find(({ facts }) => facts === first);
}
