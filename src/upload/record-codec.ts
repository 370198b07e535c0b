import type { RecordKind } from "../domain/record-kind.ts";
import type { RecordRow } from "../store/records/record-rows.ts";
import type { PrepareContext, PreparedRecord } from "./records/prepared.ts";

/** The number and customer that a call belongs to. */
export interface Attribution {
  phoneNumber: string;
  customerId: string;
  basis: number;
}

/** The identity of a record, as it was sent. */
export interface RecordIdentity {
  readonly recordId: string;
  readonly recordDate: string;
  readonly revision: number | undefined;
  readonly isVoid: boolean;
}

/**
 * What differs between an upload of durations and one of call detail records: how a message becomes
 * a row.
 */
export interface RecordCodec<Message> {
  readonly kind: RecordKind;
  /** Checks and normalises a message. Never throws: what is wrong with it is in the result. */
  prepare(message: Message, context: PrepareContext): PreparedRecord<unknown>;
  /**
   * As `prepare`, of encoded bytes `[start, end)`, in less time. Undefined: this record must be
   * decoded first.
   */
  prepareEncoded?(
    bytes: Buffer,
    start: number,
    end: number,
    context: PrepareContext,
  ): PreparedRecord<unknown> | undefined;
  /** The row to store, with the attribution joined to its encoded part. */
  row(prepared: PreparedRecord<unknown>, carrierId: string, attribution: Attribution | undefined): RecordRow;
  /** The whole normalised record, as quarantine keeps it. */
  encode(prepared: PreparedRecord<unknown>): Uint8Array;
  /** Reads what `encode` wrote. */
  decode(bytes: Uint8Array): Message;
  /** The identity of a record that is not prepared. */
  identity(message: Message): RecordIdentity;
  /**
   * How long the call was connected, as sent: for the control totals, for a record that is not
   * prepared.
   */
  connectedDurationMs(message: Message): bigint | undefined;
  /** The record as JSON with numbers masked, at most 1,024 bytes. */
  maskedJson(message: Message): string;
}
