import { carrierTransaction, type Database, isSqlState, LIST_PAGE, systemTransaction } from "../database/database.ts";

export type FindingCheck =
  /** A feed's entries are not those from floor to head, each once, in order of ingest times. */
  | "FEED_NOT_DENSE"
  /** A record is in the feed and no key holds its identity, so that it could be taken again. */
  | "ROW_WITHOUT_KEY"
  /** An identity counts as taken, and the feed does not have its record. */
  | "KEY_WITHOUT_ROW"
  /** A revision is in the feed and in quarantine, so that it could be released again. */
  | "APPLIED_AND_QUARANTINED"
  /** A result was told of, and the discrepancy feed does not have what it is now as its entry. */
  | "RESULT_WITHOUT_ENTRY"
  /** A result names a record that is not there. */
  | "RESULT_WITHOUT_RECORD"
  /** A record was judged, and is in no result or in more than one. */
  | "RECORD_NOT_IN_ONE_RESULT"
  /** An upload's stored verdicts do not run from offset 0 to its committed offset. */
  | "UPLOAD_OFFSETS"
  /** An upload's totals are not those of its stored verdicts. */
  | "UPLOAD_TOTALS"
  /** A number is not as the last entry of the numbers feed says. */
  | "NUMBER_ENTRY"
  /** A carrier holds a number that is claimed by another or by nobody. */
  | "NUMBER_WITHOUT_CLAIM"
  /** A number is claimed by a carrier that does not hold it. */
  | "CLAIM_WITHOUT_NUMBER"
  /** A tally of numbers is wrong, or one of open uploads or consumers too low. */
  | "TALLY_WRONG"
  /** A sum of usage is not what its calls add. */
  | "SUM_WRONG"
  /** A call is summed under another customer than held its number, which is not marked. */
  | "CALL_IN_OTHER_SUM"
  /** A sum of the reconciliation summary is not what its calls add. */
  | "SUMMARY_WRONG"
  /** A chain of the audit log does not give the hashes that it holds, or lacks an event. */
  | "AUDIT_CHAIN_BROKEN";

export interface Finding {
  /** Empty: the platform's own. */
  readonly carrierId: string;
  readonly check: FindingCheck;
  /** For a person. No phone number in it that is not masked. */
  readonly detail: string;
}

/** What the parts of one carrier's verification share. */
export interface Verification {
  readonly db: Database;
  readonly carrierId: string;
  readonly signal: AbortSignal;
  readonly report: (check: FindingCheck, detail: string) => void;
  /** Called before each page. */
  readonly turn: () => void;
}

/** Told before each page where a verification is; the carrier is empty for what is everybody's. */
export type VerificationWatch = (place: VerificationPlace) => void;

export interface VerificationPlace {
  readonly carrierId: string;
  /** What is being checked, in a few words. */
  readonly check: string;
  /** How many pages of the check have been begun. */
  readonly pages: number;
}

/** A check could not be carried out. */
export class CheckFailed extends Error {
  override readonly name = "CheckFailed";
}

function describeFailure({ carrierId, check, pages }: VerificationPlace, error: unknown): string {
  const why = isSqlState(error, "57014")
    ? `was cancelled, most likely by the limit of ${PAGE_TIMEOUT_MS / 1_000} s for one page`
    : `failed: ${error instanceof Error ? error.message : String(error)}`;
  return `the check of ${check}${carrierId ? ` of carrier ${carrierId}` : ""} ${why} (page ${pages})`;
}

/** Runs one check and names it when it fails. */
export async function runCheck(
  of: { carrierId: string; check: string; signal: AbortSignal; watch: VerificationWatch | undefined },
  run: (turn: () => void) => Promise<void>,
): Promise<void> {
  const { carrierId, check, signal, watch } = of;
  let pages = 0;
  try {
    await run(() => {
      signal.throwIfAborted();
      pages++;
      watch?.({ carrierId, check, pages });
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new CheckFailed(describeFailure({ carrierId, check, pages }, error), { cause: error });
  }
}

/** Most findings told of one check on one carrier. */
const MAX_FINDINGS = 100;
/** Long, since pages are small and a restoring machine is busy; milliseconds. */
const PAGE_TIMEOUT_MS = 300_000;
const PAGE = { ...LIST_PAGE, statementTimeoutMs: PAGE_TIMEOUT_MS };

export function readPage<T>(
  { db, carrierId, turn }: Pick<Verification, "db" | "carrierId" | "turn">,
  read: Parameters<typeof carrierTransaction<T>>[2],
) {
  turn();
  return carrierTransaction(db, carrierId, read, PAGE);
}

/** For what only the platform's work reaches: the carrier must be in every condition. */
export function readSystemPage<T>(
  { db, turn }: Pick<Verification, "db" | "turn">,
  read: Parameters<typeof systemTransaction<T>>[1],
) {
  turn();
  return systemTransaction(db, read, PAGE);
}

export class Findings {
  readonly list: Finding[] = [];
  readonly #carrierId: string;
  readonly #counts = new Map<FindingCheck, number>();

  constructor(carrierId: string) {
    this.#carrierId = carrierId;
  }

  readonly report = (check: FindingCheck, detail: string): void => {
    const count = (this.#counts.get(check) ?? 0) + 1;
    this.#counts.set(check, count);
    if (count <= MAX_FINDINGS) this.list.push({ carrierId: this.#carrierId, check, detail });
    if (count === MAX_FINDINGS + 1)
      this.list.push({ carrierId: this.#carrierId, check, detail: "and more, which are not listed" });
  };
}
