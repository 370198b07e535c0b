import type { FeedId } from "../domain/feed-id.ts";
import type { ErasureScope } from "../domain/privacy/erasure.ts";
import type { Micros } from "../domain/time/instant.ts";
import type { Tx } from "../store/database/database.ts";
import type { Exceptions } from "./erased-counts.ts";

/** What an erasure at one carrier goes by. */
export interface CarrierErasure {
  readonly carrierId: string;
  readonly scope: ErasureScope;
  /** When it was accepted. */
  readonly acceptTime: Micros;
  /** The moment that dates are held against. */
  readonly now: Micros;
  /** Whose law says how long a carrier's records must be kept, ISO 3166-1 alpha-2. */
  readonly legalCountry: string;
  readonly exceptions: Exceptions;
}

/**
 * Runs one step in a transaction of its own, under the leases of the erasure and of the carrier's
 * reconciliation.
 */
export type Transact = <T>(run: (tx: Tx) => Promise<T>) => Promise<T>;

/** An erasure at one carrier, as it is carried out. */
export interface CarrierRun extends CarrierErasure {
  readonly transact: Transact;
  /** The same with the database owner's rights, for what no role may change. */
  readonly transactAsOwner: Transact;
  /** What stands for the number in the log of disclosures, one for each of its E.164 forms. */
  readonly numberHashes: readonly string[];
  readonly signal: AbortSignal;
  readonly onAppended: (feed: FeedId, headSequence: bigint) => void;
}
