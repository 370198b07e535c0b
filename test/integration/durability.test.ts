import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConnectError } from "@connectrpc/connect";
import pg from "pg";
import { expect, test } from "vitest";
import { tandemReason } from "../../src/client/errors.ts";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { Durability } from "../../src/gen/tandem/type/v1/upload_pb.js";
import { openLog } from "../../src/log.ts";
import { startEmbeddedPostgres } from "../../src/store/postgres/embedded-postgres.ts";
import { eventually } from "../support/eventually.ts";
import { startExchange } from "../support/exchange.ts";

test("with remote_apply and no synchronous replica, records are acknowledged as DISK, and the log says why", async () => {
  const logged: string[] = [];
  const log = openLog("warn", (line) => logged.push(line));
  await using exchange = await startExchange({ synchronousCommit: "remote_apply" }, log);
  await exchange.addCarrier("alpha");
  const durations = await exchange.carrierClient(DurationService, "alpha");
  const { durability } = await durations.appendDurations({
    uploadId: "u",
    firstOffset: 0n,
    records: [],
    validateOnly: true,
  });
  expect(durability).toBe(Durability.DISK);
  expect(logged.join("\n")).toContain("synchronous_standby_names is empty");
});

test("with remote_apply, a commit whose wait for the replica was given up is not acknowledged", async () => {
  await using folder = await temporaryFolder();
  await using server = await startEmbeddedPostgres({ dataDir: folder.path, durable: false });
  await using exchange = await startExchange({ databaseUrl: server.url, synchronousCommit: "remote_apply" });
  await exchange.addCarrier("alpha");
  const durations = await exchange.carrierClient(DurationService, "alpha");
  const append = (records: object[], firstOffset = 0n) =>
    durations.appendDurations({ uploadId: "u", firstOffset, records });
  expect(await append([{}])).toMatchObject({ durability: Durability.DISK });

  await using admin = await connectAsOwner(server);
  await admin.setStandbyNames("nobody");
  try {
    // A replay waits likewise: what it shows would be an acknowledgement.
    for (const _ of ["sent", "sent again"]) {
      let answer: unknown;
      const answered = append([{}], 1n).then(
        (value) => (answer = value),
        (cause: unknown) => (answer = cause),
      );
      await eventually(async () => {
        await admin.cancelWaiting();
        expect(answer).toBeDefined();
      });
      await answered;
      expect(answer).toBeInstanceOf(ConnectError);
      expect(tandemReason(answer)?.reason).toBe("STORE_UNAVAILABLE");
    }
  } finally {
    await admin.setStandbyNames("");
  }
  expect(await append([{}], 1n)).toMatchObject({ committedOffset: 2n, durability: Durability.DISK });
});

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), "tandem-durability-"));
  await chmod(path, 0o755);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

async function connectAsOwner({ adminUrl }: { adminUrl: string }) {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  return {
    async setStandbyNames(names: string): Promise<void> {
      await client.query(`ALTER SYSTEM SET synchronous_standby_names = '${names}'`);
      await client.query("SELECT pg_reload_conf()");
      await eventually(async () => {
        const { rows } = await client.query("SHOW synchronous_standby_names");
        expect(rows[0].synchronous_standby_names).toBe(names);
      });
    },
    /** Ends every wait for the replica. */
    async cancelWaiting(): Promise<void> {
      await client.query("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
    },
    [Symbol.asyncDispose]: () => client.end(),
  };
}
