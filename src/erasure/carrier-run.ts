import type { FeedId } from "../domain/feed-id.ts";
import type { ErasureScope } from "../domain/privacy/erasure.ts";
import type { Micros } from "../domain/time/instant.ts";
import type { Tx } from "../store/database/run.ts";
import type { RecordSearch } from "../store/privacy/erase-calls.ts";
import { type ErasureAtCarrier, readErasureCarrier, writeErasureCarrier } from "../store/privacy/erasures.ts";
import type { Exceptions } from "./erased-counts.ts";

export interface CarrierErasure {
  readonly carrierId: string;
  readonly scope: ErasureScope;
  readonly acceptTime: Micros;
  /** The present moment, for comparing dates. */
  readonly now: Micros;
  /** The country whose law governs the carrier's records, ISO 3166-1 alpha-2. */
  readonly legalCountry: string;
  readonly exceptions: Exceptions;
}

/** Runs a step in its own transaction, under the leases of the erasure and of reconciliation. */
export type Transact = <T>(run: (tx: Tx) => Promise<T>) => Promise<T>;

export interface CarrierRun extends CarrierErasure {
  readonly transact: Transact;
  /** With the owner's rights, for what no role may change. */
  readonly transactAsOwner: Transact;
  /** Hashes of the number in the log of disclosures, one for each of its E.164 forms. */
  readonly numberHashes: readonly string[];
  readonly signal: AbortSignal;
  readonly onAppended: (feed: FeedId, headSequence: bigint) => void;
}

/** The new heads of feeds that a step appended to. */
export type NewHeads = ReadonlyMap<FeedId, bigint>;

/** Rows of one transaction. */
const PAGE = 200;

/** Goes through what `find` gives after a row, in pages with their own transactions. */
export async function eachPage<Row>(
  run: CarrierRun,
  find: (tx: Tx, page: { after: Row | undefined; limit: number }) => Promise<Row[]>,
  work: (tx: Tx, rows: Row[]) => Promise<NewHeads | undefined>,
): Promise<void> {
  let after: Row | undefined;
  do {
    run.signal.throwIfAborted();
    const { rows, heads } = await run.transact(async (tx) => {
      const rows = await find(tx, { after, limit: PAGE });
      return { rows, heads: rows.length > 0 ? await work(tx, rows) : undefined };
    });
    for (const [feed, head] of heads ?? []) run.onAppended(feed, head);
    after = rows.length < PAGE ? undefined : rows.at(-1);
  } while (after !== undefined);
}

/** Changes what the receipt says of the carrier, in the transaction of what was done. */
export async function writeReceipt<T>(
  tx: Tx,
  { carrierId, scope: { erasureId } }: CarrierErasure,
  change: (at: ErasureAtCarrier) => Promise<T>,
): Promise<T> {
  const at = await readErasureCarrier(tx, erasureId, carrierId);
  const result = await change(at);
  await writeErasureCarrier(tx, erasureId, at);
  return result;
}

/** Where an erasure looks for its number. */
export function searchOf({ scope: { number, start, end } }: CarrierErasure): RecordSearch {
  return { forms: number.forms, pattern: number.pattern, start, end };
}
