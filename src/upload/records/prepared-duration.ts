import type { RecordProblem } from "../../domain/calls/field-checks.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { type DurationRow, EntryKind } from "../../store/records/record-rows.ts";
import type { AttributionCandidate, PreparedRecord } from "./prepared.ts";

/** The columns of a duration that come from its message alone. */
export type DurationColumns = Omit<DurationRow, "payload">;

/** What a prepared duration holds as it is. */
export type DurationParts = Pick<
  PreparedDuration,
  "recordId" | "recordDate" | "revision" | "isVoid" | "direction" | "trunkId" | "partIndex" | "warnings" | "candidates"
>;

export const NO_WARNINGS: RecordProblem[] = [];
Object.freeze(NO_WARNINGS);

const SLAB_BYTES = 262_144;
/**
 * Before each payload: what a record has besides, int64 each. These are where they are in a head.
 */
export const Head = { CONTENT_HASH: 0, PARTY_HASH: 8, START_TIME: 16, CONNECTED_MS: 24, BYTES: 32 } as const;
/** Stands for a start time or a duration that is absent. */
const ABSENT = -(2n ** 63n);

/** Bytes for many records. */
export class Slab {
  readonly bytes: Buffer;
  readonly view: DataView;

  constructor(length: number) {
    this.bytes = Buffer.allocUnsafeSlow(length);
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, length);
  }
}

/**
 * Where heads and payloads are put, one after the other. A slab lives for as long as one of its
 * records.
 */
let slab = new Slab(0);
let used = 0;

/**
 * The room for the head and payload of the next record. Records are prepared one at a time, so it
 * is the same object each time.
 */
export const room = {
  slab,
  /** Where the head begins. */
  head: 0,
  /** Where the payload begins. */
  payload: 0,
};

/** Makes room for the next record. */
export function makeRoom(mostPayloadBytes: number): typeof room {
  const most = Head.BYTES + mostPayloadBytes;
  if (used + most > slab.bytes.length) {
    slab = new Slab(Math.max(SLAB_BYTES, most));
    used = 0;
  }
  room.slab = slab;
  room.head = used;
  room.payload = used + Head.BYTES;
  return room;
}

/** Writes an int64 of a head; undefined: it is absent. */
export function writeHead(at: number, value: bigint | undefined): void {
  room.slab.view.setBigInt64(room.head + at, value ?? ABSENT);
}

/** Writes an int64 of a head that is a whole number; undefined: it is absent. */
export function writeWholeHead(at: number, value: number | undefined): void {
  const { view } = room.slab;
  if (value === undefined) {
    view.setBigInt64(room.head + at, ABSENT);
    return;
  }
  // Two halves: a bigint for each would cost more than all else.
  const high = Math.floor(value / 2 ** 32);
  view.setInt32(room.head + at, high);
  view.setUint32(room.head + at + 4, value - high * 2 ** 32);
}

/**
 * A duration that may be stored. Thousands of them wait for their commits at a time, and the
 * garbage collector copies what waits again and again, which once was a third of the server's work.
 * So it is one small object. Its figures and payload stay in a slab, and what is made of them is
 * made when it is asked for.
 */
export class PreparedDuration implements PreparedRecord<DurationColumns> {
  readonly recordId: string;
  readonly recordDate: string;
  readonly revision: number;
  readonly isVoid: boolean;
  readonly direction: number;
  readonly trunkId: string | undefined;
  readonly partIndex: number | undefined;
  readonly warnings: RecordProblem[];
  readonly candidates: AttributionCandidate[];
  /** Where the payload is in the slab. */
  readonly start: number;
  readonly end: number;
  readonly #slab: Slab;

  /** Takes the head and the payload that were written into the room. */
  constructor(parts: DurationParts, payloadEnd: number) {
    this.recordId = parts.recordId;
    this.recordDate = parts.recordDate;
    this.revision = parts.revision;
    this.isVoid = parts.isVoid;
    this.direction = parts.direction;
    this.trunkId = parts.trunkId;
    this.partIndex = parts.partIndex;
    this.warnings = parts.warnings.length === 0 ? NO_WARNINGS : parts.warnings;
    this.candidates = parts.candidates;
    this.#slab = room.slab;
    this.start = room.payload;
    this.end = payloadEnd;
    used = payloadEnd;
  }

  get contentHash(): bigint {
    return this.#head(Head.CONTENT_HASH);
  }

  get partyHash(): bigint {
    return this.#head(Head.PARTY_HASH);
  }

  get startTime(): Micros | undefined {
    const time = this.#head(Head.START_TIME);
    return time === ABSENT ? undefined : time;
  }

  get sentConnectedMs(): bigint | undefined {
    const ms = this.#head(Head.CONNECTED_MS);
    return ms === ABSENT ? undefined : ms;
  }

  get connectedDurationMs(): bigint {
    return this.sentConnectedMs ?? 0n;
  }

  get bytes(): Buffer {
    return this.#slab.bytes;
  }

  get payload(): Buffer {
    return this.bytes.subarray(this.start, this.end);
  }

  get payloadBytes(): number {
    return this.end - this.start;
  }

  get row(): DurationColumns {
    const { payload: _, ...columns } = this.wholeRow();
    return columns;
  }

  /** The row that is stored. Its payload stays in the slab. */
  wholeRow(): DurationRow {
    return {
      entryKind: this.isVoid ? EntryKind.VOID : EntryKind.REPORT,
      startTime: this.startTime ?? null,
      direction: this.direction,
      connectedDurationMs: this.sentConnectedMs ?? null,
      trunkId: this.trunkId || null,
      partIndex: this.partIndex ?? null,
      payload: this,
    };
  }

  #head(at: number): bigint {
    return this.#slab.view.getBigInt64(this.start - Head.BYTES + at);
  }
}
