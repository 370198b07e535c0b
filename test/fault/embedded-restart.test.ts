import { execFile } from "node:child_process";
import { chmod, mkdtemp, open, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createClient } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { type App, openApp } from "../../src/app.ts";
import { createTandemTransport } from "../../src/client/transport.ts";
import { loadConfig } from "../../src/config/config.ts";
import { PLATFORM_SCOPES } from "../../src/domain/carriers/scopes.ts";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../src/gen/grpc/health/v1/health_pb.js";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
import { openLog } from "../../src/log.ts";
import { reasonOf } from "../support/refusal.ts";
import { ServerProcess } from "../support/server-process.ts";

const run = promisify(execFile);

test("a PostgreSQL of its own that was killed is started again, with what was stored", async () => {
  await using folder = await makeFolder();
  await using exchange = await openEmbedded(folder.path);
  const carrier = { displayName: "Alpha", region: "eu", legalCountry: "DK", timeZone: "Europe/Copenhagen" };
  await exchange.carriers.createCarrier({ requestId: "create", carrierId: "alpha", carrier });
  const killed = await readPostmaster(folder.path);
  process.kill(killed, "SIGKILL");
  await expect.poll(async () => [0, killed].includes(await readPostmaster(folder.path))).toBe(false);
  const list = async () => (await exchange.carriers.listCarriers({})).carriers.map(({ carrierId }) => carrierId);
  await expect.poll(() => list().catch((error) => error.message)).toEqual(["alpha"]);
});

test("health says NOT_SERVING of every service while a PostgreSQL of its own cannot start, tells who watches, and is back by itself", async () => {
  await using folder = await makeFolder();
  await using exchange = await openEmbedded(folder.path);
  using watch = exchange.watchHealth("tandem.carrier.v1.CdrService");
  expect(await watch.next()).toBe(Status.SERVING);
  const control = join(folder.path, "postgres/cluster/global/pg_control");
  const killed = await readPostmaster(folder.path);
  await rename(control, `${control}.aside`);
  process.kill(killed, "SIGKILL");
  expect(await watch.next()).toBe(Status.NOT_SERVING);
  const statuses = async () =>
    new Set(Object.values((await exchange.health.list({})).statuses).map(({ status }) => status));
  await expect.poll(statuses).toEqual(new Set([Status.NOT_SERVING]));
  for (const service of ["", "tandem.platform.v1.CarrierService"])
    expect((await exchange.health.check({ service })).status).toBe(Status.NOT_SERVING);
  expect(await reasonOf(exchange.carriers.listCarriers({}))).toBe("STORE_UNAVAILABLE");
  await expect.poll(() => exchange.logged.join("\n")).toContain("did not start");
  await rename(`${control}.aside`, control);
  expect(await watch.next()).toBe(Status.SERVING);
  expect((await exchange.carriers.listCarriers({})).carriers).toEqual([]);
});

/**
 * What a folder on a disk of its own takes: to mount one is root's alone, and not even root's
 * everywhere.
 */
const canMount = process.getuid?.() === 0 && (await tryMount());

test.skipIf(!canMount)(
  "a PostgreSQL whose folder was full is started again once there is room (skipped where no disk can be mounted)",
  async () => {
    await using folder = await makeFolder();
    await run("mount", ["-t", "tmpfs", "-o", "size=400m,mode=755", "tmpfs", folder.path]);
    await using _mounted = { [Symbol.asyncDispose]: () => unmount(folder.path) };
    await using exchange = await openEmbedded(folder.path);
    const filler = join(folder.path, "filler");
    await fill(filler);
    process.kill(await readPostmaster(folder.path), "SIGKILL");
    const status = async () => (await exchange.health.check({})).status;
    await expect.poll(() => exchange.logged.join("\n")).toContain("did not start");
    await expect.poll(status).toBe(Status.NOT_SERVING);
    await rm(filler);
    await expect.poll(status).toBe(Status.SERVING);
    expect((await exchange.carriers.listCarriers({})).carriers).toEqual([]);
  },
);

test("a process whose PostgreSQL cannot be started again ends with an error that says why", async () => {
  await using folder = await makeFolder();
  await using server = new ServerProcess(0, {
    TANDEM_DATA_DIR: folder.path,
    TANDEM_EMBEDDED_RESTARTS: "1",
    TANDEM_DRAIN_MS: "500",
  });
  await server.start();
  const pid = await readPostmaster(folder.path);
  const control = join(folder.path, "postgres/cluster/global/pg_control");
  await rename(control, `${control}.aside`);
  process.kill(pid, "SIGKILL");
  expect(await server.ended()).toEqual({ code: 1, signal: null });
  expect(server.lines.join("\n")).toContain("tandem: PostgreSQL ended and could not be started again");
  expect(server.lines.join("\n")).toContain("pg_control");
});

async function tryMount(): Promise<boolean> {
  await using folder = await makeFolder();
  const mounted = await run("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder.path]).then(
    () => true,
    () => false,
  );
  if (mounted) await unmount(folder.path);
  return mounted;
}

async function unmount(path: string): Promise<void> {
  await run("umount", ["-l", path]);
}

/** Writes until nothing more fits. */
async function fill(path: string): Promise<void> {
  await using file = await open(path, "w");
  for (const size of [1_048_576, 4_096]) {
    const block = Buffer.alloc(size);
    for (;;) {
      const isFull = await file.write(block).then(
        () => false,
        (error: NodeJS.ErrnoException) => error.code === "ENOSPC",
      );
      if (isFull) break;
    }
  }
}

/** A whole Tandem with a PostgreSQL of its own in the folder. */
async function openEmbedded(dataDir: string) {
  await using opening = new AsyncDisposableStack();
  const logged: string[] = [];
  const log = openLog("warn", (line) => logged.push(line));
  const config = loadConfig({}, { dataDir, port: 0, drainMs: 500 });
  const app = opening.use(await openApp(config, log));
  const token = await platformToken(app, config.tokens);
  const transport = opening.use(createTandemTransport({ baseUrl: app.url, token }));
  const health = createClient(Health, transport);
  const opened = opening.move();
  return {
    logged,
    health,
    carriers: createClient(CarrierService, transport),
    /** The statuses of a service, one after the other. */
    watchHealth: (service: string) => {
      const stop = new AbortController();
      const answers = health.watch({ service }, { signal: stop.signal })[Symbol.asyncIterator]();
      return {
        next: async () => (await answers.next()).value?.status,
        [Symbol.dispose]: () => stop.abort(),
      };
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

async function platformToken(app: App, { issuer, audience }: { issuer: string; audience: string }): Promise<string> {
  const request = { issuer, audience, identity: "platform", scopes: PLATFORM_SCOPES, ttlSeconds: 3_600 };
  return (await app.signingKey?.issueToken(request)) ?? "";
}

/** The id of its process, as its file says. */
async function readPostmaster(dataDir: string): Promise<number> {
  const text = await readFile(join(dataDir, "postgres/cluster/postmaster.pid"), "utf8").catch(() => "");
  return Number(text.split("\n")[0]);
}

async function makeFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "tandem-restart-"));
  await chmod(path, 0o755);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
