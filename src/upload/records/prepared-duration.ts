import type { RecordProblem } from "../../domain/calls/field-checks.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { type DurationRow, EntryKind } from "../../store/records/record-rows.ts";
import type { AttributionCandidate, PreparedRecord } from "./prepared.ts";

/** The columns of a duration that come from its message alone. */
export type DurationColumns = Omit<DurationRow, "payload">;

const SLAB_BYTES = 65_536;
const NO_WARNINGS: RecordProblem[] = [];
Object.freeze(NO_WARNINGS);

// Where payloads are put, one after the other; a slab lives for as long as one of its records.
let slab = Buffer.alloc(0);
let used = 0;

/**
 * A duration that may be stored. Thousands of them wait for their commits at a time, and the
 * garbage collector copies what waits again and again, which once was a third of the server's work.
 * So it is one small object, and its columns and payload are made when they are asked for.
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
  readonly direction: number;
  readonly trunkId: string | undefined;
  readonly partIndex: number | undefined;
  readonly sentConnectedMs: bigint | undefined;
  readonly #slab: Buffer;
  readonly #start: number;
  readonly #end: number;

  /** @param payload is copied. */
  constructor(parts: Omit<PreparedDuration, "connectedDurationMs" | "payload" | "row">, payload: Buffer) {
    this.recordId = parts.recordId;
    this.recordDate = parts.recordDate;
    this.revision = parts.revision;
    this.isVoid = parts.isVoid;
    this.contentHash = parts.contentHash;
    this.partyHash = parts.partyHash;
    this.startTime = parts.startTime;
    this.warnings = parts.warnings.length === 0 ? NO_WARNINGS : parts.warnings;
    this.candidates = parts.candidates;
    this.direction = parts.direction;
    this.trunkId = parts.trunkId;
    this.partIndex = parts.partIndex;
    this.sentConnectedMs = parts.sentConnectedMs;
    if (used + payload.length > slab.length) {
      slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, payload.length));
      used = 0;
    }
    payload.copy(slab, used);
    this.#slab = slab;
    this.#start = used;
    used += payload.length;
    this.#end = used;
  }

  get connectedDurationMs(): bigint {
    return this.sentConnectedMs ?? 0n;
  }

  get payload(): Buffer {
    return this.#slab.subarray(this.#start, this.#end);
  }

  get row(): DurationColumns {
    return {
      entryKind: this.isVoid ? EntryKind.VOID : EntryKind.REPORT,
      startTime: this.startTime ?? null,
      direction: this.direction,
      connectedDurationMs: this.sentConnectedMs ?? null,
      trunkId: this.trunkId || null,
      partIndex: this.partIndex ?? null,
    };
  }
}
