import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { carrierTransaction, isTransient, openDatabase, systemTransaction } from "../../src/store/database/database.ts";
import { migrate } from "../../src/store/database/migrate.ts";
import { readClock } from "../../src/store/database/run.ts";
import { createTestDatabase } from "../support/database.ts";

/**
 * A TCP proxy before PostgreSQL that can fall silent: it keeps its connections and carries nothing
 * more.
 */
async function startSilencer(databaseUrl: string) {
  const target = new URL(databaseUrl);
  const pairs: [Socket, Socket][] = [];
  let isSilent = false;
  const server = createServer((client) => {
    const upstream = connect({ host: target.hostname, port: Number(target.port) });
    pairs.push([client, upstream]);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on("data", (bytes) => isSilent || to.write(bytes));
      from.on("close", () => to.destroy());
      from.on("error", () => {});
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = new URL(databaseUrl);
  url.hostname = "127.0.0.1";
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    silence: () => {
      isSilent = true;
    },
    /** Carries new connections again; what was lost stays lost. */
    speak: () => {
      isSilent = false;
    },
    async [Symbol.asyncDispose]() {
      for (const pair of pairs) for (const socket of pair) socket.destroy();
      server.close();
    },
  };
}

test("a database that falls silent without a word is given up after a while, as a failure that passes, and its connection is not used again", async () => {
  await using database = await createTestDatabase();
  {
    await using direct = openDatabase({ url: database.url });
    await migrate(direct);
  }
  await using silencer = await startSilencer(database.url);
  await using db = openDatabase({ url: silencer.url, maxConnections: 1, silenceMs: 1_000 });
  await systemTransaction(db, readClock);
  silencer.silence();
  const failure = await carrierTransaction(db, "a", readClock).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(Error);
  expect(isTransient(failure)).toBe(true);
  silencer.speak();
  expect(await systemTransaction(db, readClock)).toBeGreaterThan(0n);
});
