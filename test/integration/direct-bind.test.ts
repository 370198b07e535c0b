import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bindDirectly } from "../../src/store/direct-bind.ts";
import { createTestDatabase } from "../support/database.ts";

let database: Awaited<ReturnType<typeof createTestDatabase>>;
let pool: pg.Pool;
beforeAll(async () => {
  database = await createTestDatabase();
  pool = new pg.Pool({ connectionString: database.url, max: 1 });
  pool.on("connect", bindDirectly);
});
afterAll(async () => {
  await pool.end();
  await database[Symbol.asyncDispose]();
});

test("large binary parameters arrive whole, among small ones, nulls and texts of any kind", async () => {
  const large = Buffer.alloc(3_000_000, 7);
  const { rows } = await pool.query(
    "SELECT md5($1::bytea) AS first, $2::text AS text, $3::int8 + 1 AS number, $4::text AS nothing, length($5::bytea) AS second, $6::bool AS flag",
    [large, "é\u{1f600}", 2n ** 40n, null, Buffer.alloc(20_000), true],
  );
  const expected = (await pool.query("SELECT md5(decode(repeat('07', 3000000), 'hex')) AS first")).rows[0];
  expect(rows).toEqual([
    { ...expected, text: "é\u{1f600}", number: String(2n ** 40n + 1n), nothing: null, second: 20_000, flag: true },
  ]);
});

test("a statement that the database refuses leaves the connection usable", async () => {
  const large = Buffer.alloc(100_000);
  await expect(pool.query("SELECT length($1::bytea) / 0", [large])).rejects.toMatchObject({ code: "22012" });
  await expect(pool.query("SELECT nothing($1::bytea)", [large])).rejects.toMatchObject({ code: "42883" });
  expect((await pool.query("SELECT length($1::bytea) AS bytes", [large])).rows).toEqual([{ bytes: 100_000 }]);
});
