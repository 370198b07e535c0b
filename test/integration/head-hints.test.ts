import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { FeedId } from "../../src/domain/feed-id.ts";
import { type Database, openDatabase } from "../../src/store/database/database.ts";
import { type HeadHint, HeadHints } from "../../src/store/feeds/head-hints.ts";
import { createMigratedDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { startExchange } from "../support/exchange.ts";

let database: Awaited<ReturnType<typeof createMigratedDatabase>>;
let db: Database;
beforeAll(async () => {
  database = await createMigratedDatabase();
  db = openDatabase({ url: database.url });
});
afterAll(async () => {
  await db[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

interface Process extends AsyncDisposable {
  readonly hints: HeadHints;
  readonly heard: HeadHint[];
  readonly errors: unknown[];
}

function join(): Process {
  const heard: HeadHint[] = [];
  const errors: unknown[] = [];
  const hints = new HeadHints({
    url: database.url,
    onHint: (hint) => heard.push(hint),
    onPooled: () => errors.push("pooled"),
    onError: (error) => errors.push(error),
  });
  return { hints, heard, errors, [Symbol.asyncDispose]: () => hints[Symbol.asyncDispose]() };
}

function hintOf(carrierId: string, headSequence: bigint, feed: FeedId = FeedId.CDRS): HeadHint {
  return { carrierId, feed, headSequence };
}

test("a process tells the others at once, then each of the newest head, and hears nothing of itself", async () => {
  await using one = join();
  await using other = join();
  await expect.poll(() => one.hints.areOthers && other.hints.areOthers).toBe(true);
  for (const head of [7n, 8n, 9n]) one.hints.tell(hintOf("acme", head));
  one.hints.tell(hintOf("acme", 3n, FeedId.NUMBERS));
  const newest = [hintOf("acme", 9n), hintOf("acme", 3n, FeedId.NUMBERS)];
  await expect.poll(() => other.heard).toEqual([hintOf("acme", 7n), ...newest]);
  other.hints.tell(hintOf("zenith", 1n));
  await expect.poll(() => one.heard).toEqual([hintOf("zenith", 1n)]);
  expect([...one.errors, ...other.errors]).toEqual([]);
});

test("more feeds than one message holds come in several", async () => {
  await using one = join();
  await using other = join();
  await expect.poll(() => one.hints.areOthers).toBe(true);
  const hints = Array.from({ length: 1_000 }, (_, index) => hintOf(`carrier-with-a-long-name-${index}`, BigInt(index)));
  for (const hint of hints) one.hints.tell(hint);
  await expect.poll(() => other.heard).toEqual(hints);
});

test("a process that is alone sends nothing", async () => {
  await using one = join();
  await eventually(async () => expect(await listeners()).toBe(1));
  one.hints.tell(hintOf("acme", 7n));
  await using other = join();
  await expect.poll(() => one.hints.areOthers).toBe(true);
  one.hints.tell(hintOf("acme", 8n));
  await expect.poll(() => other.heard).toEqual([hintOf("acme", 8n)]);
});

test("a lost connection is opened again, and a stopped process leaves none behind", async () => {
  {
    await using one = join();
    await using other = join();
    await expect.poll(() => other.hints.areOthers).toBe(true);
    await db.pool.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tandem hints' AND datname = current_database()",
    );
    await expect.poll(() => one.errors.length > 0 && other.errors.length > 0).toBe(true);
    await expect.poll(() => one.hints.areOthers && other.hints.areOthers).toBe(true);
    one.hints.tell(hintOf("acme", 8n));
    await expect.poll(() => other.heard).toEqual([hintOf("acme", 8n)]);
  }
  await eventually(async () => expect(await listeners()).toBe(0));
});

test("text of others on the channel is no hint", async () => {
  await using one = join();
  await expect.poll(listeners).toBe(1);
  await db.pool.query("SELECT pg_notify('tandem_heads', 'acme 2 x'), pg_notify('tandem_heads', E'\\nacme 2 5')");
  await expect.poll(() => one.heard).toEqual([hintOf("acme", 5n)]);
});

test("a commit of one process wakes the streams of another", async () => {
  await using exchange = await startExchange({ hintsUrl: database.url });
  await using second = await exchange.openSecondApp();
  const heard = vi.spyOn(second.services.hub, "hear");
  await exchange.addCarrier("acme");
  await eventually(async () => {
    exchange.services.hub.notify("acme", FeedId.CDRS, 12n);
    expect(heard).toHaveBeenCalledWith("acme", FeedId.CDRS, 12n);
  });
});

async function listeners(): Promise<number> {
  const { rows } = await db.pool.query<{ count: number }>(
    "SELECT count(*)::int AS count FROM pg_stat_activity WHERE application_name = 'tandem hints' AND datname = current_database()",
  );
  return rows[0]?.count ?? 0;
}
