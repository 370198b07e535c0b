import { afterAll, beforeAll, expect, test } from "vitest";
import { FeedId } from "../../src/domain/feed-id.ts";
import { BLOCK_SEQUENCES, type DisclosureTerms } from "../../src/domain/privacy/disclosure.ts";
import { BlockWrites } from "../../src/feed/block-writes.ts";
import { DisclosureKind, RecipientKind } from "../../src/gen/tandem/platform/v1/disclosure_pb.js";
import { RecordPart } from "../../src/gen/tandem/type/v1/agreement_pb.js";
import { type Database, openDatabase } from "../../src/store/database/database.ts";
import { addCarrier } from "../support/carriers.ts";
import { createMigratedDatabase } from "../support/database.ts";

const resources = new AsyncDisposableStack();
let db: Database;
let writes: BlockWrites;
beforeAll(async () => {
  const { url } = resources.use(await createMigratedDatabase());
  db = resources.use(openDatabase({ url }));
  for (const carrierId of ["alpha", "bravo"]) await addCarrier(db, carrierId);
  writes = new BlockWrites(db);
});
afterAll(() => resources.disposeAsync());

const TERMS: DisclosureTerms = {
  recipientKind: RecipientKind.CARRIER,
  credentialId: "c",
  method: "tandem.carrier.v1.CdrService/StreamCdrs",
  kind: DisclosureKind.FEED_BLOCK,
  sessionId: undefined,
  filter: { json: "{}", hasNumber: false },
  masked: false,
  purpose: 1,
  legalBasis: 1,
  privacyStatementVersion: "1",
};

function reserve(carrierId: string, reservedThrough = 10n): Promise<void> {
  const range = { epoch: 1n, afterSequence: 0n, reservedThrough, firstDate: "2026-07-01", lastDate: "2026-07-01" };
  const block = { disclosureId: crypto.randomUUID(), feed: FeedId.CDRS, recordParts: [RecordPart.CALL], ...range };
  return writes.write(carrierId, TERMS, { reserved: [block], sent: [] });
}

async function countBlocks(carrierId: string): Promise<number> {
  const { rows } = await db.pool.query("SELECT FROM disclosure WHERE carrier_id = $1", [carrierId]);
  return rows.length;
}

test("what two hundred streams of a carrier disclose at once takes two turns in its line and not two hundred, and delays no other carrier", async () => {
  const taken: string[] = [];
  using _ = db.lanes.watch((caller) => taken.push(caller.kind === "carrier" ? caller.carrierId : caller.kind));
  await Promise.all([...Array.from({ length: 200 }, () => reserve("alpha")), reserve("bravo")]);
  expect(taken.toSorted()).toEqual(["alpha", "alpha", "bravo"]);
  expect([await countBlocks("alpha"), await countBlocks("bravo")]).toEqual([200, 1]);
});

test("a block that cannot be written fails its own stream, and no other that shares the commit", async () => {
  const before = await countBlocks("alpha");
  const outcomes = await Promise.allSettled([
    reserve("alpha"),
    reserve("alpha"),
    reserve("alpha", BLOCK_SEQUENCES + 1n),
    reserve("alpha"),
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected", "fulfilled"]);
  expect(await countBlocks("alpha")).toBe(before + 3);
});
