import type { NumberRow } from "../../domain/numbers/number-state.ts";
import { carrierTransaction, type Database, systemTransaction } from "../database/database.ts";
import type { Tx } from "../database/run.ts";
import type { NumberBatchOutcome } from "./number-batch.ts";

/** What changing numbers needs besides the numbers. */
export interface NumberWriter {
  readonly db: Database;
  /** Encodes a row as the PhoneNumber that readers get. */
  readonly encode: (row: NumberRow) => Uint8Array;
  /** Told after each commit, so that feeds are read and what waits for a number is judged again. */
  readonly changed: (carrierId: string, outcome: Pick<NumberBatchOutcome, "changed" | "headSequence">) => void;
  /** Host part of the SIP URIs of carriers that have no domain of their own. */
  readonly sipDomain: string;
  /** Told of what failed after the call's own work was committed; a job repairs it. */
  readonly onError: (error: unknown) => void;
}

/** A transaction as the carrier, or for a job as the system, with its lease confirmed first. */
export function writeInCarrier<T>(
  writer: NumberWriter,
  carrierId: string,
  fence: ((tx: Tx) => Promise<void>) | undefined,
  write: (tx: Tx) => Promise<T>,
): Promise<T> {
  if (!fence) return carrierTransaction(writer.db, carrierId, write);
  return systemTransaction(writer.db, async (tx) => {
    await fence(tx);
    return write(tx);
  });
}
