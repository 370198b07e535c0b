import type { RecordProblem } from "../../domain/calls/field-checks.ts";

/** The records of a batch. An array is one. */
export interface RecordList<Message> {
  readonly length: number;
  /** How many bytes they keep in memory, as far as that is known. */
  readonly byteLength?: number;
  /** Where each record is, of records that came in binary form. */
  readonly encoded?: EncodedRecords | undefined;
  at(index: number): Message | UnreadableRecord<Message> | undefined;
  slice(start: number, end?: number): RecordList<Message>;
}

/** Records in binary form. */
export interface EncodedRecords {
  readonly bytes: Buffer;
  /** The start and end of each record, one after the other. */
  readonly bounds: readonly number[];
}

/** A record that cannot be decoded as its type. It is refused, and those beside it are not. */
export class UnreadableRecord<Message> {
  /** What is wrong with it. */
  readonly problem: RecordProblem;
  /** What could be read of it: its id above all, which names it. */
  readonly salvaged: Message;
  /** As it was sent. */
  readonly bytes: Uint8Array;

  constructor(problem: RecordProblem, salvaged: Message, bytes: Uint8Array) {
    this.problem = problem;
    this.salvaged = salvaged;
    this.bytes = bytes;
  }
}
