import type { Horizons } from "../../domain/calls/call-rules.ts";
import type { Micros } from "../../domain/time/instant.ts";
import type { QualityRow, SentRecord } from "../../store/records/record-rows.ts";

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
 * An uploaded message, checked, normalised and encoded: everything that can be known of it without
 * the database.
 */
export interface PreparedRecord<Row> extends SentRecord {
  /** In order of precedence. Empty when refused. */
  candidates: AttributionCandidate[];
  /**
   * The columns besides identity, position, attribution and encoded parts; undefined when refused.
   */
  row: Row;
  /**
   * The encoded call part: what was sent, followed by what was derived from it, which merges when
   * it is read. Empty when refused.
   */
  payload: Uint8Array;
  /** The length of `payload`. */
  payloadBytes: number;
  /** The quality part, of a CDR with streams. */
  quality?: QualityRow;
  /** The network identifiers, of a CDR that has them. */
  network?: { payload: Uint8Array };
}
