import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { verifyAll, verifyCarrier } from "../../src/store/verify/verify.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { EVENTUALLY_MS } from "../support/limits.ts";
import { BOTH_UPLOADS, OWN_NUMBER, someRecords } from "../support/upload-kinds.ts";
import { newCarrier, query } from "../support/upload-store.ts";
import { UploadStream } from "../support/upload-stream.ts";

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange[Symbol.asyncDispose]());

const never = () => AbortSignal.timeout(EVENTUALLY_MS);

/** A carrier with an upload of each kind: accepted, rejected and quarantined records. */
async function soundCarrier(): Promise<string> {
  const carrierId = await newCarrier(exchange);
  for (const { upload } of BOTH_UPLOADS) {
    await using stream = await UploadStream.open(exchange, upload, carrierId, { uploadId: "u" });
    await stream.next("opened");
    stream.batch(0, someRecords(0, 20));
    stream.batch(20, [{ id: "bad", isBroken: true }, { id: "q", calling: "+441632960777" }, ...someRecords(22, 30)]);
    await stream.committed(30);
  }
  return carrierId;
}

test("finds nothing where all adds up, on every carrier, and an audit log that is not whole", async () => {
  const carrierId = await soundCarrier();
  expect(await verifyCarrier(exchange.services.db, carrierId, never())).toEqual([]);
  expect(await verifyAll(exchange.services.db, never())).toEqual([]);
  await query(
    exchange,
    "INSERT INTO audit_head VALUES ('', 1, decode(repeat('00', 32), 'hex'), clock_timestamp())",
    [],
  );
  expect(await verifyAll(exchange.services.db, never())).toEqual([
    { carrierId: "", check: "AUDIT_CHAIN_BROKEN", detail: "a gap at sequence 1 of the audit log" },
  ]);
  await query(exchange, "DELETE FROM audit_head WHERE carrier_id = ''", []);
});

// Each as a backup that was put back in part, or a hand in the database, would leave it.
test.each([
  [
    "an entry is missing",
    "DELETE FROM cdr_record WHERE carrier_id = $1 AND sequence = 7",
    ["FEED_NOT_DENSE", "KEY_WITHOUT_ROW"],
  ],
  [
    "an entry is missing at the head",
    "DELETE FROM duration_record WHERE carrier_id = $1 AND sequence = 28",
    ["FEED_NOT_DENSE", "KEY_WITHOUT_ROW"],
  ],
  [
    "the head has stepped back",
    "UPDATE feed_head SET next_sequence = 20 WHERE carrier_id = $1 AND feed = 2",
    ["FEED_NOT_DENSE"],
  ],
  [
    "the head is ahead",
    "UPDATE feed_head SET next_sequence = 90 WHERE carrier_id = $1 AND feed = 4",
    ["FEED_NOT_DENSE"],
  ],
  [
    "an entry is there twice",
    "INSERT INTO duration_record SELECT carrier_id, sequence, ingest_time + interval '1 second', record_id, record_date, revision, entry_kind, start_time, direction, phone_number, customer_id, connected_duration_ms, payload FROM duration_record WHERE carrier_id = $1 AND sequence = 3",
    ["FEED_NOT_DENSE", "FEED_NOT_DENSE", "ROW_WITHOUT_KEY"],
  ],
  [
    "the ingest time goes back",
    "UPDATE cdr_record SET ingest_time = ingest_time + interval '1 second' WHERE carrier_id = $1 AND sequence = 3",
    ["FEED_NOT_DENSE", "ROW_WITHOUT_KEY", "KEY_WITHOUT_ROW"],
  ],
  ["a key is missing", "DELETE FROM duration_key WHERE carrier_id = $1 AND record_id = 'r4'", ["ROW_WITHOUT_KEY"]],
  [
    "a key points elsewhere",
    "UPDATE cdr_key SET sequence = 1 WHERE carrier_id = $1 AND record_id = 'r4'",
    ["ROW_WITHOUT_KEY", "KEY_WITHOUT_ROW"],
  ],
  [
    "a record is applied and in quarantine",
    "UPDATE quarantine SET record_id = 'r3' WHERE carrier_id = $1 AND kind = 2",
    ["APPLIED_AND_QUARANTINED"],
  ],
  [
    "a count is wrong",
    "UPDATE upload SET accepted = accepted + 1 WHERE carrier_id = $1 AND kind = 1",
    ["UPLOAD_TOTALS"],
  ],
  [
    "a reject is missing",
    "DELETE FROM upload_reject WHERE carrier_id = $1 AND kind = 1 AND verdict = 5",
    ["UPLOAD_TOTALS"],
  ],
  [
    "a batch is missing",
    "DELETE FROM upload_batch WHERE carrier_id = $1 AND kind = 2 AND first_offset = 0",
    ["UPLOAD_OFFSETS", "UPLOAD_TOTALS"],
  ],
  [
    "an upload has stepped back",
    "UPDATE upload SET next_offset = 20 WHERE carrier_id = $1 AND kind = 2",
    ["UPLOAD_TOTALS", "UPLOAD_TOTALS", "UPLOAD_TOTALS"],
  ],
  [
    "the tally of numbers is too high",
    "INSERT INTO carrier_tally (carrier_id, what, held) VALUES ($1, 1, 1)",
    ["TALLY_WRONG"],
  ],
  [
    "the tally of numbers is too low",
    "INSERT INTO carrier_tally (carrier_id, what, held) VALUES ($1, 1, -1)",
    ["TALLY_WRONG"],
  ],
  [
    "the tallies of open uploads are too low",
    "UPDATE carrier_tally SET held = 0 WHERE carrier_id = $1 AND what IN (2, 3)",
    ["TALLY_WRONG", "TALLY_WRONG"],
  ],
  [
    "a consumer is in no tally",
    "INSERT INTO cdr_consumer (carrier_id, consumer, committed_sequence, cursor, commit_time) VALUES ($1, 'c', 1, 'x', now())",
    ["TALLY_WRONG"],
  ],
])("finds that %s", async (_, damage, findings) => {
  const carrierId = await soundCarrier();
  await query(exchange, damage, [carrierId]);
  const found = await verifyCarrier(exchange.services.db, carrierId, never());
  expect(found.map(({ check }) => check)).toEqual(findings);
  expect(new Set(found.map((finding) => finding.carrierId))).toEqual(new Set([carrierId]));
  await query(exchange, "DELETE FROM carrier WHERE carrier_id = $1", [carrierId]);
});

test("finds a number that the feed does not know, one that nobody has claimed, and a claim without a number; all masked", async () => {
  const carrierId = await newCarrier(exchange);
  const insertNumber = (number: string, revision: number) =>
    query(
      exchange,
      `INSERT INTO phone_number (carrier_id, phone_number, state, revision, recorded_time, claim_time, payload)
       VALUES ($1, $2, 1, $3, now(), now(), '')`,
      [carrierId, number, revision],
    );
  await query(exchange, "UPDATE feed_head SET next_sequence = 2 WHERE carrier_id = $1 AND feed = 1", [carrierId]);
  await query(
    exchange,
    `INSERT INTO number_entry (carrier_id, sequence, ingest_time, entry_kind, phone_number, payload) VALUES ($1, 1, now(), 1, $2, '')`,
    [carrierId, OWN_NUMBER],
  );
  await insertNumber(OWN_NUMBER, 1);
  await insertNumber("+441632960555", 1);
  await query(exchange, "INSERT INTO carrier_tally (carrier_id, what, held) VALUES ($1, 1, 2)", [carrierId]);
  const claim = (number: string, age: string) =>
    query(
      exchange,
      `INSERT INTO number_owner (phone_number, carrier_id, claim_time, in_transit) VALUES ($1, $2, now() - $3::interval, false)`,
      [number, carrierId, age],
    );
  await claim(OWN_NUMBER, "0");
  await claim("+441632960556", "2 days");
  await claim("+441632960557", "1 second");
  const found = await verifyAll(exchange.services.db, never());
  expect(found).toEqual([
    { carrierId, check: "NUMBER_ENTRY", detail: "+441632960***, revision 1" },
    { carrierId, check: "NUMBER_WITHOUT_CLAIM", detail: "+441632960***" },
    { carrierId, check: "CLAIM_WITHOUT_NUMBER", detail: "+441632960***" },
  ]);
  for (const table of ["phone_number", "number_owner", "number_entry", "carrier"])
    await query(exchange, `DELETE FROM ${table} WHERE carrier_id = $1`, [carrierId]);
});

test("takes a tally that is too high for right where things end without telling it", async () => {
  const carrierId = await soundCarrier();
  await query(exchange, "UPDATE carrier_tally SET held = 99 WHERE carrier_id = $1 AND what IN (2, 3, 4)", [carrierId]);
  expect(await verifyCarrier(exchange.services.db, carrierId, never())).toEqual([]);
});

test("verifies more than a page, and beside writers finds nothing", async () => {
  const carrierId = await newCarrier(exchange);
  const records = someRecords(0, 12_000);
  const writers = BOTH_UPLOADS.map(async ({ upload }) => {
    await using stream = await UploadStream.open(exchange, upload, carrierId, { uploadId: "u" });
    await stream.next("opened");
    for (let first = 0; first < 12_000; first += 500) {
      stream.batch(first, records.slice(first, first + 500));
      await stream.committed(first + 500);
    }
  });
  let isWriting = true;
  const written = Promise.all(writers).finally(() => {
    isWriting = false;
  });
  while (isWriting) expect(await verifyCarrier(exchange.services.db, carrierId, never())).toEqual([]);
  await written;
  expect(await verifyCarrier(exchange.services.db, carrierId, never())).toEqual([]);
  await query(exchange, "DELETE FROM cdr_record WHERE carrier_id = $1 AND sequence > 11000", [carrierId]);
  const found = await verifyCarrier(exchange.services.db, carrierId, never());
  expect(found.filter(({ check }) => check === "FEED_NOT_DENSE")).toHaveLength(1);
  expect(found.filter(({ check }) => check === "KEY_WITHOUT_ROW")).toHaveLength(101);
});

test("ends when its signal does", async () => {
  const reason = new Error("enough");
  await expect(verifyAll(exchange.services.db, AbortSignal.abort(reason))).rejects.toBe(reason);
});

test("says before each page which check of which carrier it is at", async () => {
  const carrierId = await soundCarrier();
  const checks = new Map<string, number>();
  await verifyCarrier(exchange.services.db, carrierId, never(), (place) => {
    expect(place.carrierId).toBe(carrierId);
    checks.set(place.check, place.pages);
  });
  expect([...checks.keys()]).toEqual([
    "entries and their keys",
    "keys and their entries",
    "results and their records",
    "judged records and their results",
    "uploads and their verdicts",
    "numbers and their claims",
    "tallies and what they count",
    "sums of usage and their calls",
    "sums of the summary and their calls",
  ]);
  for (const pages of checks.values()) expect(pages).toBeGreaterThan(0);
});

test("names the check that the database cancelled, and its carrier", async () => {
  const carrierId = await soundCarrier();
  const { pool } = exchange.services.db;
  // As the end of a statement's time would have it: whoever works on keys is cancelled.
  await using blocker = await lockTable("quarantine");
  const failed = verifyCarrier(exchange.services.db, carrierId, never()).catch((error: unknown) => error);
  await expect
    .poll(async () => {
      const { rows } = await pool.query<{ cancelled: boolean }>(
        `SELECT pg_cancel_backend(pid) AS cancelled FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%quarantine%' AND pid <> pg_backend_pid()`,
      );
      return rows.length;
    })
    .toBeGreaterThan(0);
  const error = (await failed) as Error;
  expect(error.name).toBe("CheckFailed");
  // Or, on a slow machine, the wait for the lock was over before.
  expect(error.message).toContain(`the check of keys and their entries of carrier ${carrierId} `);
  expect(error.message).toMatch(/was cancelled|failed: canceling/);
  await blocker[Symbol.asyncDispose]();
});

test("counts an upload's batches page by page, each from where the one before ended", async () => {
  const carrierId = await newCarrier(exchange);
  const { db } = exchange.services;
  const { upload } = BOTH_UPLOADS[0] as (typeof BOTH_UPLOADS)[number];
  await using stream = await UploadStream.open(exchange, upload, carrierId, { uploadId: "u" });
  await stream.next("opened");
  stream.batch(0, someRecords(0, 5));
  await stream.committed(5);
  // More batches than a page has.
  await query(
    exchange,
    `INSERT INTO upload_batch (carrier_id, kind, upload_id, first_offset, record_count, verdicts, hashes, create_time)
     SELECT $1, $2, 'u', g, 1, '\\x02', '\\x0000000000000000', now() FROM generate_series(5, 1204) g`,
    [carrierId, upload.kind.upload],
  );
  await query(exchange, "UPDATE upload SET next_offset = 1205, duplicate = 1200 WHERE carrier_id = $1", [carrierId]);
  expect(await verifyCarrier(db, carrierId, never())).toEqual([]);
});

/** Another session, which nobody reads a table beside. */
async function lockTable(table: string): Promise<AsyncDisposable> {
  const client = new pg.Client({ connectionString: exchange.databaseUrl });
  await client.connect();
  await client.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
  let isOpen = true;
  return {
    async [Symbol.asyncDispose]() {
      if (isOpen) await client.end();
      isOpen = false;
    },
  };
}
