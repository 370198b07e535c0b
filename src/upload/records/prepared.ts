import type { Horizons } from "../../domain/calls/call-rules.ts";
import type { RecordProblem } from "../../domain/calls/field-checks.ts";
import type { Micros } from "../../domain/time/instant.ts";
import type { QualityRow } from "../../store/records/record-rows.ts";

/** What a record is prepared against. */
export interface PrepareContext {
  /** The server's clock. */
  now: Micros;
  /** The installation's secret, which keys the hashes. */
  hashSecret: Uint8Array;
  /** How old a record of this carrier may be. */
  horizons: Horizons;
}

/** A number that may decide whose call it is. */
export interface AttributionCandidate {
  /** An AttributionBasis: which party's number it is. */
  basis: number;
  /** E.164. */
  number: string;
}

/**
 * An uploaded message, checked, normalised and encoded: all that can be known of it without the
 * database.
 */
export interface PreparedRecord<Row> {
  /**
   * As sent; for a refused record made storable: no NUL, no unpaired surrogate, at most 128
   * characters.
   */
  recordId: string;
  /** `YYYY-MM-DD`; empty when a refused record has none. */
  recordDate: string;
  /** From 1; 1 when absent. */
  revision: number;
  isVoid: boolean;
  /**
   * Over the normalised content as sent, nothing derived or output only in it; the same for a
   * record that is prepared again from its payload.
   */
  contentHash: bigint;
  /** Over parties, direction and connected duration. Equal for all VOIDs that name no parties. */
  partyHash: bigint;
  /** For the control totals: as sent, whatever it is; absent 0. */
  connectedDurationMs: bigint;
  /** Why it is REJECTED. */
  refusal?: RecordProblem;
  /** What was odd, but is accepted; empty when it is refused. */
  warnings: RecordProblem[];
  /** In the order in which they decide. Empty when refused. */
  candidates: AttributionCandidate[];
  /** The invite, else the answer. Absent when refused or when a VOID has none. */
  startTime: Micros | undefined;
  /**
   * The columns besides identity, position, attribution and encoded parts; of a refused record they
   * mean nothing.
   */
  row: Row;
  /**
   * The encoded call part: what was sent, and behind it what was derived from it, which merges when
   * it is read. Empty when refused.
   */
  payload: Uint8Array;
  /** The quality part, of a CDR with streams. */
  quality?: QualityRow;
  /** The network identifiers, of a CDR that has them. */
  network?: { payload: Uint8Array };
}
