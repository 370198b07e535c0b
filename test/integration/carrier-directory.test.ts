import { afterAll, beforeAll, expect, test } from "vitest";
import { openCarrierDirectory, readCarrier, updateCarrier } from "../../src/store/carriers/carriers.ts";
import { type Database, openDatabase, systemTransaction } from "../../src/store/database/database.ts";
import { addCarrier } from "../support/carriers.ts";
import { createMigratedDatabase } from "../support/database.ts";

let database: Awaited<ReturnType<typeof createMigratedDatabase>>;
let db: Database;
let transactions = 0;
beforeAll(async () => {
  database = await createMigratedDatabase();
  db = openDatabase({ url: database.url });
  db.pool.on("acquire", () => void transactions++);
  await addCarrier(db, "acme");
});
afterAll(async () => {
  await db[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

const FAR = 3_600_000;

test("a carrier whose revision was seen to be the same is not read again", async () => {
  const directory = openCarrierDirectory(db);
  const carrier = await directory.get("acme");
  await directory.confirm([{ carrierId: "acme", revision: carrier?.revision ?? 0n }], performance.now() + FAR);
  const before = transactions;
  expect(await directory.get("acme")).toBe(carrier);
  expect(transactions).toBe(before);
});

test("a carrier that was seen with another revision is read again, however long it was believed", async () => {
  const directory = openCarrierDirectory(db);
  const old = await directory.get("acme");
  await directory.confirm([{ carrierId: "acme", revision: old?.revision ?? 0n }], performance.now() + FAR);
  const revision = await systemTransaction(db, async (tx) => {
    const carrier = await readCarrier(tx, "acme");
    if (!carrier) throw new Error("the carrier is there");
    const changed = { ...carrier, revision: carrier.revision + 1n, displayName: "Acme the second" };
    await updateCarrier(tx, changed);
    return changed.revision;
  });
  await directory.confirm([{ carrierId: "acme", revision }], performance.now());
  expect(await directory.get("acme")).toMatchObject({ revision, displayName: "Acme the second" });
});
