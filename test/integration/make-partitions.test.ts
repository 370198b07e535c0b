import { sql } from "kysely";
import { expect, test } from "vitest";
import { runMakePartitions } from "../../src/jobs/make-partitions.ts";
import { openDatabase, ownerTransaction } from "../../src/store/database/database.ts";
import { migrate } from "../../src/store/database/migrate.ts";
import { createTestDatabase } from "../support/database.ts";

test("partitions that are missing are made while the process lives, and a shortage is told", async () => {
  await using test = await createTestDatabase();
  await using db = openDatabase({ url: test.url });
  await migrate(db);
  const names = () =>
    ownerTransaction(db, async (tx) => {
      const { rows } = await sql<{ name: string }>`SELECT inhrelid::regclass::text AS name FROM pg_inherits
        WHERE inhparent = 'cdr_record'::regclass ORDER BY 1`.execute(tx);
      return rows.map(({ name }) => name);
    });
  const before = await names();
  await ownerTransaction(db, (tx) => sql.raw(`DROP TABLE ${before.at(-1)}`).execute(tx));
  const stop = new AbortController();
  const running = runMakePartitions({ db, intervalMs: 10, onError: () => {}, onShort: () => {} }, stop.signal);
  await expect.poll(names).toEqual(before);
  stop.abort();
  await running;

  const short = Promise.withResolvers<number>();
  await db[Symbol.asyncDispose]();
  const again = new AbortController();
  const failing = runMakePartitions({ db, intervalMs: 10, onError: () => {}, onShort: short.resolve }, again.signal);
  expect(await short.promise).toBe(0);
  again.abort();
  await failing;
});
