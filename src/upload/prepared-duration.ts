import type { RecordProblem } from "../domain/field-checks.ts";
import type { Micros } from "../domain/instant.ts";
import { type DurationRow, EntryKind } from "../store/record-rows.ts";
import type { AttributionCandidate, PreparedRecord } from "./prepared.ts";

/** The columns of a duration that come from its message alone. */
export type DurationColumns = Omit<DurationRow, "payload">;

/** What a prepared duration is made of. */
export interface DurationParts {
  recordId: string;
  recordDate: string;
  revision: number;
  isVoid: boolean;
  contentHash: bigint;
  partyHash: bigint;
  direction: number;
  /** As sent. */
  connectedDurationMs: bigint | undefined;
  startTime: Micros | undefined;
  warnings: RecordProblem[];
  candidates: AttributionCandidate[];
  /** The payload is bytes `[start, end)` of a buffer that is not written again there. */
  bytes: Buffer;
  start: number;
  end: number;
}

/**
 * A duration that may be stored. Thousands of them wait for their commits at a time, and what waits is copied by the garbage collector again and again,
 * which once was a third of the server's work: so it is one small object, and its columns and payload are made when they are asked for.
 */
export class PreparedDuration implements PreparedRecord<DurationColumns> {
  readonly recordId: string;
  readonly recordDate: string;
  readonly revision: number;
  readonly isVoid: boolean;
  readonly contentHash: bigint;
  readonly partyHash: bigint;
  readonly startTime: Micros | undefined;
  readonly warnings: RecordProblem[];
  readonly candidates: AttributionCandidate[];
  readonly #direction: number;
  readonly #connectedDurationMs: bigint | undefined;
  readonly #bytes: Buffer;
  readonly #start: number;
  readonly #end: number;

  constructor(parts: DurationParts) {
    this.recordId = parts.recordId;
    this.recordDate = parts.recordDate;
    this.revision = parts.revision;
    this.isVoid = parts.isVoid;
    this.contentHash = parts.contentHash;
    this.partyHash = parts.partyHash;
    this.startTime = parts.startTime;
    this.warnings = parts.warnings;
    this.candidates = parts.candidates;
    this.#direction = parts.direction;
    this.#connectedDurationMs = parts.connectedDurationMs;
    this.#bytes = parts.bytes;
    this.#start = parts.start;
    this.#end = parts.end;
  }

  get connectedDurationMs(): bigint {
    return this.#connectedDurationMs ?? 0n;
  }

  get payloadBytes(): number {
    return this.#end - this.#start;
  }

  get payload(): Buffer {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  get row(): DurationColumns {
    return {
      entryKind: this.isVoid ? EntryKind.VOID : EntryKind.REPORT,
      startTime: this.startTime ?? null,
      direction: this.#direction,
      connectedDurationMs: this.#connectedDurationMs ?? null,
    };
  }
}
