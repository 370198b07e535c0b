import type {
  EvidenceOutcome,
  EvidenceStage,
} from "../../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import type { RecordKind } from "../../record-kind.ts";
import type { CarrierUnit, PlatformUnit } from "../call-unit.ts";
import type { MatchingInput, RecordRef } from "../facts.ts";
import type { Pairing } from "../pairing/pairing.ts";
import type { CallResult, Finding } from "../result.ts";

/** One comparison within a step, as text for reading. */
export interface EvidenceValue {
  /** By its field path in the records, or by a rule's name. */
  readonly name: string;
  readonly platformValue?: string | undefined;
  /** With the offset taken off. */
  readonly carrierValue?: string | undefined;
  readonly limitValue?: string | undefined;
  readonly outcome: EvidenceOutcome;
}

/** One step of the judgement. */
export interface EvidenceStep {
  readonly stage: EvidenceStage;
  readonly outcome: EvidenceOutcome;
  /** In English, for a person. */
  readonly explanation: string;
  readonly values: readonly EvidenceValue[];
  /** Of the search for a cause. */
  readonly findings?: readonly Finding[];
}

/** A record of the other side that was considered and not taken. */
export interface RefusedCandidate {
  readonly side: RecordKind["side"];
  readonly record: RecordRef;
  readonly refusedAt: EvidenceStage;
  readonly explanation: string;
  /** Carrier minus platform, the offset taken off. */
  readonly startDeltaMs: number | undefined;
  /** With what it was paired instead: a record of the explained call's side. */
  readonly pairedWith: RecordRef | undefined;
}

/** A call to explain. */
export interface FoundCall {
  readonly input: MatchingInput;
  readonly pairing: Pairing;
  readonly result: CallResult;
  readonly platform: PlatformUnit | undefined;
  readonly carrier: CarrierUnit | undefined;
}

/** What the steps are told of. */
export interface ExplainedCall extends FoundCall {
  /** Of either side, at most 20 each, the nearest in time first. */
  readonly refused: readonly RefusedCandidate[];
}

/** Any step but the search for a cause: only that has findings. */
export function evidenceStep(
  stage: EvidenceStage,
  outcome: EvidenceOutcome,
  explanation: string,
  values: readonly EvidenceValue[] = [],
): EvidenceStep {
  return { stage, outcome, explanation, values };
}

/** A value to compare. */
export function evidenceValue(
  name: string,
  outcome: EvidenceOutcome,
  [platformValue, carrierValue, limitValue]: readonly (string | undefined)[],
): EvidenceValue {
  return { name, platformValue, carrierValue, limitValue, outcome };
}

/** An instant, RFC 3339 in UTC. */
export function tellTime(ms: number): string {
  return new Date(ms).toISOString();
}

/** A length of time for a sentence: `850 ms`, `12.4 s`, `3 min 5 s`, `5 h 30 min`; no sign. */
export function tellLength(ms: number): string {
  const length = Math.abs(ms);
  if (length < 1_000) return `${length} ms`;
  if (length < 60_000) return `${Number((length / 1_000).toFixed(3))} s`;
  const hours = Math.floor(length / 3_600_000);
  const minutes = Math.floor((length % 3_600_000) / 60_000);
  const seconds = Number(((length % 60_000) / 1_000).toFixed(3));
  const told = [
    [hours, "h"],
    [minutes, "min"],
    [seconds, "s"],
  ] as const;
  return told.flatMap(([count, unit]) => (count === 0 ? [] : [`${count} ${unit}`])).join(" ");
}

/** `1 record`, `2 records`. */
export function tellCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Joins parts of a sentence: `a`, `a and b`, `a, b and c`. */
export function tellList(parts: readonly string[]): string {
  return parts.length < 2 ? parts.join("") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}

/** A record for a sentence: its id, its day and its revision. */
export function tellRecord(record: RecordRef): string {
  return `${tellName(record)} (revision ${record.revision})`;
}

/** A record for a sentence that need not say its revision. */
export function tellName({ recordId, recordDate }: Pick<RecordRef, "recordId" | "recordDate">): string {
  return `${recordId} of ${recordDate}`;
}

/** Records of one side for a sentence: `record a of …`, `records a of … and b of …`. */
export function tellRecords(records: readonly RecordRef[]): string {
  return `${records.length === 1 ? "record" : "records"} ${tellList(records.map(tellRecord))}`;
}
