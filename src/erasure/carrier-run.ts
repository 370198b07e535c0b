import type { FeedId } from "../domain/feed-id.ts";
import type { ErasureScope } from "../domain/privacy/erasure.ts";
import type { Micros } from "../domain/time/instant.ts";
import type { Tx } from "../store/database/run.ts";
import type { Exceptions } from "./erased-counts.ts";

/** What an erasure at one carrier depends on. */
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

/**
 * Runs a step in its own transaction, under the leases of the erasure and of the carrier's
 * reconciliation.
 */
export type Transact = <T>(run: (tx: Tx) => Promise<T>) => Promise<T>;

/** An erasure at one carrier, in progress. */
export interface CarrierRun extends CarrierErasure {
  readonly transact: Transact;
  /** With the owner's rights, for what no role may change. */
  readonly transactAsOwner: Transact;
  /** Hashes of the number in the log of disclosures, one for each of its E.164 forms. */
  readonly numberHashes: readonly string[];
  readonly signal: AbortSignal;
  readonly onAppended: (feed: FeedId, headSequence: bigint) => void;
}
