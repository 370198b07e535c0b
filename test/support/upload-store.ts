import pg from "pg";
import { expect } from "vitest";
import { verifyCarrier } from "../../src/store/verify/verify.ts";
import { eventually } from "./eventually.ts";
import type { Exchange } from "./exchange.ts";
import { EVENTUALLY_MS } from "./limits.ts";
import { OWN_NUMBER, type TestedUpload } from "./upload-kinds.ts";

let carriers = 0;

/** Onboards a carrier that holds `OWN_NUMBER`, for one test. */
export async function newCarrier(exchange: Exchange): Promise<string> {
  const carrierId = `carrier-${++carriers}`;
  await exchange.addCarrier(carrierId);
  await exchange.assignNumbers(carrierId, [OWN_NUMBER]);
  return carrierId;
}

/** What the database itself holds, past all of Tandem's code. */
export async function query<Row extends pg.QueryResultRow>(
  exchange: Exchange,
  text: string,
  values: unknown[] = [],
): Promise<Row[]> {
  const { rows } = await exchange.services.db.pool.query<Row>(text, values);
  return rows;
}

/** The ids of the records in a feed, in its order. */
export async function storedIds(exchange: Exchange, upload: TestedUpload, carrierId: string): Promise<string[]> {
  const rows = await query<{ record_id: string }>(
    exchange,
    `SELECT record_id FROM ${upload.recordTable} WHERE carrier_id = $1 ORDER BY sequence`,
    [carrierId],
  );
  return rows.map((row) => row.record_id);
}

/** Proves that what is stored of a carrier adds up. */
export async function expectSound(exchange: Exchange, carrierId: string): Promise<void> {
  expect(await verifyCarrier(exchange.services.db, carrierId, AbortSignal.timeout(EVENTUALLY_MS))).toEqual([]);
}

/**
 * Another session, which holds a feed's counter row: every writer of the feed waits until it is let
 * go.
 */
export async function holdFeed(exchange: Exchange, upload: TestedUpload, carrierId: string) {
  const client = new pg.Client({ connectionString: exchange.databaseUrl });
  await client.connect();
  await client.query("BEGIN");
  await client.query("SELECT 1 FROM feed_head WHERE carrier_id = $1 AND feed = $2 FOR UPDATE", [
    carrierId,
    upload.feed,
  ]);
  let isHeld = true;
  const release = async () => {
    if (!isHeld) return;
    isHeld = false;
    await client.query("ROLLBACK");
    await client.end();
  };
  return { release, [Symbol.asyncDispose]: release };
}

/** Waits until so many of Tandem's sessions wait for a lock. */
export async function awaitBlocked(exchange: Exchange, count = 1): Promise<void> {
  await eventually(async () => {
    const [row] = await query<{ blocked: bigint }>(
      exchange,
      `SELECT count(*) AS blocked FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'tandem' AND wait_event_type = 'Lock'`,
    );
    expect(row?.blocked).toBe(BigInt(count));
  });
}
