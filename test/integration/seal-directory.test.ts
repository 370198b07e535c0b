import { afterAll, beforeAll, expect, test } from "vitest";
import type { Seals } from "../../src/domain/seals.ts";
import { asCaller } from "../../src/store/database/callers.ts";
import { type Database, openDatabase } from "../../src/store/database/database.ts";
import { openSealDirectory } from "../../src/store/database/seal-directory.ts";
import { rotateSealKey } from "../../src/store/database/seal-keys.ts";
import { createMigratedDatabase } from "../support/database.ts";

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

const unsealedSecret = Buffer.alloc(32);

function open(intervalMs: number, onError = (error: unknown): void => void Promise.reject(error)) {
  return openSealDirectory({ db, unsealedSecret, intervalMs, onError });
}

function keyIdOf(seals: Seals): number {
  return Buffer.from(seals.seal("cursor", [], Buffer.from("x")), "base64url").readUInt32BE(1);
}

test("a process takes every rotation, not only the first", async () => {
  await using directory = await open(10);
  for (let rotation = 0; rotation < 3; rotation++) {
    const { keyId } = await rotateSealKey(db, { forgetOld: rotation === 2, actor: "test" });
    await expect.poll(() => keyIdOf(directory.seals)).toBe(keyId);
  }
});

test("two processes open each other's texts, whichever has taken a rotation first", async () => {
  await using slow = await open(3_600_000);
  await using other = await open(3_600_000);
  for (let rotation = 0; rotation < 3; rotation++) {
    await rotateSealKey(db, { forgetOld: false, actor: "test" });
    await other.refresh();
    const text = other.seals.seal("cursor", ["acme"], Buffer.from("here"));
    expect(await slow.seals.open("cursor", ["acme"], text)).toEqual({ body: Buffer.from("here") });
  }
});

test("what was sealed with a key that was forgotten no longer opens, also where it was sealed", async () => {
  await using directory = await open(10);
  const text = directory.seals.seal("cursor", [], Buffer.from("here"));
  await rotateSealKey(db, { forgetOld: true, actor: "test" });
  await expect.poll(() => directory.seals.open("cursor", [], text)).toBe("key gone");
});

test("a reading that fails fails for those who wait for it, and the next one succeeds", async () => {
  await using directory = await open(3_600_000);
  await db.pool.query("ALTER TABLE seal_key RENAME TO seal_key_away");
  try {
    await expect(directory.refresh()).rejects.toThrow("seal_key");
  } finally {
    await db.pool.query("ALTER TABLE seal_key_away RENAME TO seal_key");
  }
  await directory.refresh();
});

test("a call that hangs up while it asks for a key takes nothing from the others who ask", async () => {
  await using directory = await open(3_600_000);
  const hangUp = new AbortController();
  const asked = asCaller({ kind: "carrier", carrierId: "acme", signal: hangUp.signal }, () => directory.refresh());
  const other = directory.refresh();
  hangUp.abort();
  await Promise.all([asked, other]);
});
