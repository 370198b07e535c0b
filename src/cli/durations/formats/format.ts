import type { CallDuration } from "../../../gen/tandem/type/v1/call_duration_pb.js";
import type { Direction } from "../../../gen/tandem/type/v1/call_pb.js";

/** A piece of a file that a format reads as one: a line of CSV, an object of JSON, a packet. */
export interface Row {
  /** Where it begins, from 1. */
  readonly line: number;
  /** As it stands in the file, with its end of line. */
  readonly raw: string;
  /** Its texts by column, trimmed. */
  readonly cells: Readonly<Record<string, string>>;
  /** The line of column names. It comes first, if the file has one. */
  readonly isHeader?: boolean;
  /** Why nothing can be read from it. */
  readonly broken?: string;
}

/** What is wrong in a row. */
export interface Mistake {
  readonly line: number;
  /** Such as `start_stamp is "25:00": expected a time`. */
  readonly text: string;
}

/** What became of one row, or of several that are one call. */
export type Reading =
  | { readonly kind: "record"; readonly rows: readonly Row[]; readonly record: CallDuration }
  | { readonly kind: "mistakes"; readonly rows: readonly Row[]; readonly mistakes: readonly Mistake[] }
  /** No call, such as the packet of a gateway that starts. */
  | { readonly kind: "passed"; readonly rows: readonly Row[]; readonly why: string };

/** Reads the rows of one file in their order. What it keeps for later rows has a limit. */
export interface RowReader {
  take(row: Row): Iterable<Reading>;
  /** What was kept when the file ends. */
  end(): Iterable<Reading>;
}

/** Which way a call went, by the text of a column. */
export interface DirectionRule {
  readonly column: string;
  readonly value: string;
  readonly direction: Direction;
}

/** What the user says of a file because the file does not. */
export interface FormatSettings {
  /** The zone of local times, a name of the IANA database. */
  readonly timeZone: string | undefined;
  readonly direction: Direction | undefined;
  readonly directionRules: readonly DirectionRule[];
  readonly trunkId: string | undefined;
  /** Stands before each record id. */
  readonly recordPrefix: string;
  /** The revision of records that say none. */
  readonly revision: number | undefined;
  /** What the start of a Kamailio CDR is. */
  readonly start: "invite" | "answer";
  /** The numbers of users whose calls are told by their names. */
  readonly numberOf: ReadonlyMap<string, string>;
}

/** What is said once for a file, with the row where it was first so. */
export type Remark = (row: Row, text: string) => void;

/** A way in which call records are written. */
export interface DurationFormat {
  /** As `--format` takes it. */
  readonly name: string;
  /** What writes it. */
  readonly title: string;
  /** Another one when the same file would be read as other records than before. */
  readonly edition: string;
  /** What it does not tell and the user has to say. */
  readonly needs: readonly ("direction" | "timeZone")[];
  /** Whether a file begins so. */
  recognises(head: FileHead): boolean;
  /** Cuts a file into rows. */
  rows(bytes: AsyncIterable<Uint8Array>): AsyncIterable<Row>;
  /** @throws DurationsFileError when the settings or the header do not do. */
  open(settings: FormatSettings, remark: Remark): RowReader;
}

/** The beginning of a file. */
export interface FileHead {
  readonly text: string;
  /** The fields of its first line, read as CSV. */
  readonly fields: readonly string[];
}

/** Why a file cannot be read. */
export class DurationsFileError extends Error {
  override readonly name = "DurationsFileError";
}
