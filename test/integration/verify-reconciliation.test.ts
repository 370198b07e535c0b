import { afterAll, beforeAll, expect, test } from "vitest";
import { systemTransaction } from "../../src/store/database/database.ts";
import { verifyCarrier } from "../../src/store/verify/verify.ts";
import {
  appendDiscrepancies,
  emptySums,
  insertCallResults,
  type PartialResult,
  setReconciled,
} from "../support/call-results.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { EVENTUALLY_MS } from "../support/limits.ts";
import { BOTH_UPLOADS, someRecords } from "../support/upload-kinds.ts";
import { newCarrier, query } from "../support/upload-store.ts";
import { UploadStream } from "../support/upload-stream.ts";

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange[Symbol.asyncDispose]());

const verify = async (carrierId: string) =>
  (await verifyCarrier(exchange.services.db, carrierId, AbortSignal.timeout(EVENTUALLY_MS))).map(
    ({ check, detail }) => `${check} ${detail}`,
  );

/**
 * A carrier with six calls on both sides, all judged: three pairs, of which one disagrees; a split
 * call; and one call missing on each side.
 */
async function judgedCarrier(): Promise<string> {
  const { db } = exchange.services;
  const carrierId = await newCarrier(exchange);
  for (const { upload } of BOTH_UPLOADS) {
    await using stream = await UploadStream.open(exchange, upload, carrierId, { uploadId: "u" });
    await stream.next("opened");
    stream.batch(0, someRecords(0, 6));
    await stream.committed(6);
  }
  const [day] = await query<{ day: string }>(
    exchange,
    "SELECT record_date AS day FROM cdr_key WHERE carrier_id = $1 LIMIT 1",
    [carrierId],
  );
  const date = day?.day ?? "";
  const pair = (platform: string | undefined, carrier: string[]): PartialResult => ({
    side: platform === undefined ? 2 : 1,
    record_id: platform ?? carrier[0] ?? "",
    record_date: date,
    carrier_record_ids: carrier,
    carrier_record_dates: carrier.map(() => date),
    carrier_revisions: carrier.map(() => 1),
  });
  await insertCallResults(db, carrierId, [
    pair("r0", ["r0"]),
    pair("r1", ["r1"]),
    pair("r3", []),
    pair("r4", []),
    pair("r5", []),
  ]);
  await appendDiscrepancies(db, carrierId, [
    { ...pair(undefined, ["r2"]), discrepancy_id: "was-alone", status: 7 },
    { ...pair("r2", ["r2", "r3"]), discrepancy_id: "split" },
    { ...pair(undefined, ["r2"]), discrepancy_id: "was-alone", status: 4, is_merged: true },
    { ...pair(undefined, ["r4"]), discrepancy_id: "missing", status: 7 },
    { ...pair(undefined, ["r5"]), discrepancy_id: "double", status: 8 },
  ]);
  await setReconciled(db, carrierId, { cdr_sequence: 6n, duration_sequence: 6n });
  // Results are damaged here, and not what sums say of them.
  await systemTransaction(db, (tx) => emptySums(tx, carrierId));
  return carrierId;
}

test("finds nothing where every judged record is in one result, and every discrepancy in the feed", async () => {
  expect(await verify(await judgedCarrier())).toEqual([]);
});

test.each([
  [
    "an entry is missing",
    "DELETE FROM discrepancy_entry WHERE carrier_id = $1 AND sequence = 2",
    [
      /^FEED_NOT_DENSE discrepancies: sequences 1 to 5: 4 entries/,
      /^RESULT_WITHOUT_ENTRY platform .*\/r2, sequence 2$/,
    ],
  ],
  [
    "the discrepancy feed's head has stepped back",
    "UPDATE feed_head SET next_sequence = 5 WHERE carrier_id = $1 AND feed = 3",
    [/^FEED_NOT_DENSE discrepancies: there are entries beyond the head, 4$/],
  ],
  [
    "an entry is another discrepancy's",
    "UPDATE discrepancy_entry SET discrepancy_id = 'other' WHERE carrier_id = $1 AND sequence = 4",
    [/^RESULT_WITHOUT_ENTRY carrier .*\/r4, sequence 4$/],
  ],
  [
    "a discrepancy was never told",
    "UPDATE call_result SET sequence = NULL WHERE carrier_id = $1 AND discrepancy_id = 'split'",
    [/^RESULT_WITHOUT_ENTRY platform .*\/r2, sequence null$/],
  ],
  [
    "a result names a revision that is not there",
    "UPDATE call_result SET revision = 2 WHERE carrier_id = $1 AND record_id = 'r0'",
    [/^RESULT_WITHOUT_RECORD platform .*\/r0$/],
  ],
  [
    "a result names a duration that is not there",
    "UPDATE call_result SET carrier_record_ids = '{r1,r99}', carrier_record_dates = array_fill(record_date, '{2}'), carrier_revisions = '{1,1}' WHERE carrier_id = $1 AND record_id = 'r1'",
    [/^RESULT_WITHOUT_RECORD platform .*\/r1$/],
  ],
  [
    "a result is gone",
    "DELETE FROM call_result WHERE carrier_id = $1 AND record_id = 'r1'",
    [/^RECORD_NOT_IN_ONE_RESULT cdr .*\/r1: in 0$/, /^RECORD_NOT_IN_ONE_RESULT duration .*\/r1: in 0$/],
  ],
  [
    "a record of the carrier's is in two results",
    "UPDATE call_result SET is_merged = false WHERE carrier_id = $1 AND discrepancy_id = 'was-alone'",
    [/^RECORD_NOT_IN_ONE_RESULT duration .*\/r2: in 2$/],
  ],
  [
    "a record of the platform's counts as merged",
    "UPDATE call_result SET is_merged = true WHERE carrier_id = $1 AND record_id = 'r3'",
    [/^RECORD_NOT_IN_ONE_RESULT cdr .*\/r3: in 0$/],
  ],
])("finds that %s", async (_, damage, findings) => {
  const carrierId = await judgedCarrier();
  await query(exchange, damage, [carrierId]);
  expect(await verify(carrierId)).toEqual(findings.map((finding) => expect.stringMatching(finding)));
});

test("asks for no result of what was not judged yet, of what is marked to be judged, and of a feed of another epoch", async () => {
  const carrierId = await judgedCarrier();
  await query(exchange, "DELETE FROM call_result WHERE carrier_id = $1 AND discrepancy_id IS NULL", [carrierId]);
  expect(await verify(carrierId)).not.toEqual([]);
  const { db } = exchange.services;
  await setReconciled(db, carrierId);
  expect(await verify(carrierId)).toEqual([]);
  await setReconciled(db, carrierId, { cdr_sequence: 6n, duration_sequence: 6n, cdr_epoch: 7n, duration_epoch: 7n });
  expect(await verify(carrierId)).toEqual([]);
  await setReconciled(db, carrierId, { cdr_sequence: 6n, duration_sequence: 6n });
  await query(
    exchange,
    `INSERT INTO reconcile_minute SELECT DISTINCT carrier_id, date_trunc('minute', invite_time) FROM cdr_record WHERE carrier_id = $1`,
    [carrierId],
  );
  expect(await verify(carrierId)).toEqual([]);
});

test("keeps to what is kept: an entry below the floor is not missed", async () => {
  const carrierId = await judgedCarrier();
  await query(exchange, "UPDATE feed_head SET earliest_sequence = 4 WHERE carrier_id = $1 AND feed = 3", [carrierId]);
  await query(exchange, "DELETE FROM discrepancy_entry WHERE carrier_id = $1 AND sequence < 4", [carrierId]);
  expect(await verify(carrierId)).toEqual([]);
});
