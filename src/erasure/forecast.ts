import type { ErasureScope } from "../domain/privacy/erasure.ts";
import { eachCarrier } from "../store/carriers/carriers.ts";
import { type Database, systemTransaction } from "../store/database/database.ts";
import type { ErasureAtCarrier } from "../store/privacy/erasures.ts";
import { forecastAtCarrier } from "./erase-carrier.ts";
import { forecastNumbers } from "./erase-numbers.ts";
import { Exceptions } from "./erased-counts.ts";
import { readCircumstances } from "./run-erasure.ts";

const STATEMENT_TIMEOUT_MS = 30_000;

/** What an erasure would rewrite and keep at each carrier; writes nothing. */
export async function forecastErasure(
  db: Database,
  scope: ErasureScope,
  signal: AbortSignal,
): Promise<ErasureAtCarrier[]> {
  const found: ErasureAtCarrier[] = [];
  for await (const { carrierId } of eachCarrier(db)) {
    const { now, legalCountry } = await systemTransaction(db, (tx) => readCircumstances(tx, carrierId));
    const at: ErasureAtCarrier = {
      carrierId,
      isDone: false,
      lookTime: undefined,
      counts: {},
      exceptions: [],
      notices: {},
      lateCdrs: 0n,
      lateDurations: 0n,
      lateTime: undefined,
    };
    const transact = <T>(work: Parameters<typeof systemTransaction<T>>[1]) =>
      systemTransaction(db, work, { statementTimeoutMs: STATEMENT_TIMEOUT_MS });
    const run = {
      carrierId,
      scope,
      acceptTime: now,
      now,
      legalCountry,
      exceptions: new Exceptions(),
      signal,
      transact,
      transactAsOwner: transact,
      numberHashes: [],
      onAppended: () => {},
    };
    await forecastAtCarrier(run, at);
    await forecastNumbers(run, at);
    found.push(at);
  }
  return found;
}
