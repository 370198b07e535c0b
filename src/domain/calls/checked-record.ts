import type { Horizons } from "./call-rules.ts";
import type { RecordProblem } from "./field-checks.ts";

/** What a record is checked against. */
export interface CheckContext {
  /** The server's clock, milliseconds since 1970. */
  readonly nowMs: number;
  readonly horizons: Horizons;
}

/** What is wrong with a record. */
export interface CheckedRecord {
  /** Why it is refused. */
  readonly fault: RecordProblem | undefined;
  /** What is odd and does not matter; with gaps. */
  readonly warnings: readonly (RecordProblem | undefined)[];
}
