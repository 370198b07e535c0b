import { chmod, mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { sql } from "kysely";
import { expect, test } from "vitest";
import {
  CdrService,
  createTandemTransport,
  DurationService,
  followCdrs,
  ingestCdrs,
  memoryCursorStore,
  PlatformCdrService,
  type TandemTransport,
  type UploadOptions,
  type UploadResult,
  type UploadSource,
  uploadDurations,
} from "../../src/client/index.ts";
import { PLATFORM_SCOPES } from "../../src/domain/carriers/scopes.ts";
import type { CallDetailRecord } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { type AppliedRun, checkLogs, type ProducedRecord } from "../../src/simulator/checker.ts";
import { createRandom } from "../../src/simulator/random.ts";
import { type Database, openDatabase, systemTransaction } from "../../src/store/database/database.ts";
import { migrate } from "../../src/store/database/migrate.ts";
import { startEmbeddedPostgres } from "../../src/store/postgres/embedded-postgres.ts";
import { verifyAll } from "../../src/store/verify/verify.ts";
import { openSigningKey } from "../../src/trust/signing-key.ts";
import { addCarrier, assignNumbers } from "../support/carriers.ts";
import { eventually } from "../support/eventually.ts";
import { EVENTUALLY_MS } from "../support/limits.ts";
import { pace } from "../support/pace.ts";
import { findFreePort, ServerProcess } from "../support/server-process.ts";
import { cdrOf, dayOf, durationOf, NOON_MS, OWN_NUMBER, type RecordSpec } from "../support/upload-kinds.ts";

const KILLS = 20;
/** Every so many kills all processes die at once, PostgreSQL's too. */
const CRASH_EVERY = 7;
const SEED = process.env["TANDEM_TEST_SEED"] ?? String(Date.now());
const CARRIERS = ["alpha", "bravo"] as const;
/** Every so many records one is bad: its verdict must come through every kill as well. */
const BAD_EVERY = 97;

test(`what was acknowledged is there exactly once, and every follower saw it exactly once, after ${KILLS} kills (seed ${SEED})`, async () => {
  await using folder = await makeFolder();
  const settings = { TANDEM_DATA_DIR: folder.path, TANDEM_HEARTBEAT_INTERVAL_MS: "2000", TANDEM_LOG_LEVEL: "error" };
  await withStore(folder.path, async (db) => {
    await migrate(db);
    for (const carrierId of CARRIERS) {
      await addCarrier(db, carrierId);
      await assignNumbers(db, carrierId, [OWN_NUMBER], "customer-1");
    }
  });
  await using first = new ServerProcess(await findFreePort(), settings);
  await using second = new ServerProcess(await findFreePort(), settings);
  const servers = [first, second];
  await Promise.all(servers.map((server) => server.start()));

  const done = new AbortController();
  const stop = new AbortController();
  const world = await openWorld(folder.path, servers);
  const uploads = Promise.all(
    CARRIERS.flatMap((carrierId) => [
      uploadAll(world, carrierId, "durations", done.signal),
      uploadAll(world, carrierId, "cdrs", done.signal),
    ]),
  );
  const followers = CARRIERS.map((carrierId) => follow(world, carrierId, stop.signal));
  await Promise.race([killAgainAndAgain(folder.path, servers, world), uploads]);
  done.abort();
  const produced = await uploads;
  // Otherwise it proves nothing.
  for (const { resumes, records } of produced) {
    expect(resumes).toBeGreaterThan(2);
    expect(records.length).toBeGreaterThan(100);
  }
  for (const { carrierId, kind, records } of produced) {
    const follower = followers.find((candidate) => candidate.carrierId === carrierId);
    if (kind === "cdrs") await eventually(() => expect(follower?.entryCount()).toBe(records.length));
  }
  stop.abort();
  await Promise.all(followers.map(({ ended }) => ended));
  for (const transport of world.transports) transport[Symbol.dispose]();
  await Promise.all(servers.map((server) => server.kill()));

  for (const { carrierId, kind, records } of produced) {
    const runs = followers.find((follower) => follower.carrierId === carrierId)?.runs ?? [];
    if (kind !== "cdrs") continue;
    expect(checkLogs(records, runs)).toEqual({
      lost: [],
      duplicated: [],
      unacknowledged: [],
      gaps: [],
      appliedCount: records.length,
    });
  }
  await withStore(folder.path, async (db) => {
    expect(await verifyAll(db, AbortSignal.timeout(EVENTUALLY_MS))).toEqual([]);
    for (const { carrierId, kind, records } of produced) {
      const stored = await readStored(db, carrierId, kind);
      expect(stored.toSorted()).toEqual(records.map(({ recordId }) => recordId).toSorted());
    }
  });
});

interface World {
  /** How many batches were acknowledged. */
  commits: number;
  readonly transports: TandemTransport[];
  transport(carrierId?: string): Promise<TandemTransport>;
}

/** Clients whose every connection goes to a server that serves, as behind a load balancer. */
async function openWorld(dataDir: string, servers: readonly ServerProcess[]): Promise<World> {
  const key = await openSigningKey(dataDir);
  const transports: TandemTransport[] = [];
  let turn = 0;
  const choosePort = () => {
    const serving = servers.filter(({ isServing }) => isServing);
    return (serving[turn++ % Math.max(1, serving.length)] ?? servers[0])?.port ?? 0;
  };
  return {
    commits: 0,
    transports,
    async transport(carrierId) {
      const token = await key.issueToken({
        issuer: "tandem",
        audience: "tandem",
        identity: carrierId ?? "platform",
        ttlSeconds: 3_600,
        ...(carrierId === undefined ? { scopes: PLATFORM_SCOPES } : { carrierId }),
      });
      const made = createTandemTransport({
        baseUrl: "http://127.0.0.1:1",
        token,
        createConnection: () => connect({ host: "127.0.0.1", port: choosePort() }),
      });
      transports.push(made);
      return made;
    },
  };
}

interface Produced {
  readonly carrierId: string;
  readonly kind: "durations" | "cdrs";
  /** What was acknowledged as accepted. */
  readonly records: ProducedRecord[];
  /** How often it came back after a cut. */
  resumes: number;
}

/**
 * Uploads one upload after the other until it is told to end, and then finishes the one that is
 * open.
 */
async function uploadAll(
  world: World,
  carrierId: string,
  kind: Produced["kind"],
  done: AbortSignal,
): Promise<Produced> {
  const transport = await world.transport(kind === "cdrs" ? undefined : carrierId);
  const records: ProducedRecord[] = [];
  let resumes = 0;
  for (let number = 0; !done.aborted; number++) {
    const name = `${kind}-${number}`;
    const onCommitted = () => world.commits++;
    const { result, total } = await uploadOne(transport, { carrierId, kind, name, done, onCommitted });
    resumes += result.resumes;
    const bad = Array.from({ length: Math.ceil(total / BAD_EVERY) }, (_, index) => BigInt(index * BAD_EVERY));
    expect(result.outcomes.map(({ recordOffset }) => recordOffset)).toEqual(bad);
    expect(result.receipt.counts).toMatchObject({
      accepted: BigInt(total - bad.length),
      rejected: BigInt(bad.length),
      duplicate: 0n,
      conflict: 0n,
    });
    for (let offset = 0; offset < total; offset++) {
      if (offset % BAD_EVERY === 0) continue;
      records.push({ recordId: `${name}-${offset}`, recordDate: dayOf(NOON_MS), revision: 1 });
    }
  }
  return { carrierId, kind, records, resumes };
}

interface OneUpload {
  carrierId: string;
  kind: Produced["kind"];
  name: string;
  done: AbortSignal;
  onCommitted: () => void;
}

async function uploadOne(transport: TandemTransport, { carrierId, kind, name, done, onCommitted }: OneUpload) {
  let total = Number.POSITIVE_INFINITY;
  let read = 0;
  const specOf = (offset: number): RecordSpec => ({
    id: `${name}-${offset}`,
    connectedMs: 1_000 + offset,
    isBroken: offset % BAD_EVERY === 0,
  });
  const sourceOf = <Rec>(make: (spec: RecordSpec) => Rec): UploadSource<Rec> => ({
    read: async (offset, limit) => {
      // The pace of a busy switch: what is measured here is not speed.
      await pace(15);
      if (total === Number.POSITIVE_INFINITY && (done.aborted || offset > 1_500)) total = Math.max(read, offset);
      const end = Math.min(offset + limit, total);
      read = Math.max(read, end);
      return Array.from({ length: Math.max(0, end - offset) }, (_, index) => make(specOf(offset + index)));
    },
  });
  const shared: Omit<UploadOptions<never>, "source"> = {
    uploadId: name,
    batchRecords: 20,
    onEvent: (event) => {
      if (event.kind === "COMMITTED") onCommitted();
    },
    retry: { initialDelayMs: 50, maxDelayMs: 400, maxAttempts: 1_000 },
  };
  const result: UploadResult =
    kind === "cdrs"
      ? await ingestCdrs(createClient(PlatformCdrService, transport), { ...shared, carrierId, source: sourceOf(cdrOf) })
      : await uploadDurations(createClient(DurationService, transport), { ...shared, source: sourceOf(durationOf) });
  return { result, total };
}

/** Follows a carrier's feed from its start and keeps the log of what it applied. */
function follow(world: World, carrierId: string, signal: AbortSignal) {
  const runs: AppliedRun[] = [];
  const run = async () => {
    const transport = await world.transport(carrierId);
    await followCdrs(createClient(CdrService, transport), {
      start: { case: "earliest", value: { $typeName: "tandem.type.v1.FeedStartEarliest" } },
      store: memoryCursorStore(),
      signal,
      retry: { initialDelayMs: 50, maxDelayMs: 400, maxAttempts: 1_000 },
      apply: async ({ entries, afterSequence, position }) => {
        runs.push({
          epoch: position.epoch,
          afterSequence,
          throughSequence: position.sequence,
          entries: entries.flatMap(({ entry }) => (entry.case === "record" ? [appliedRecord(entry.value)] : [])),
        });
      },
    });
  };
  const entryCount = () => runs.reduce((sum, { entries }) => sum + entries.length, 0);
  return { carrierId, runs, entryCount, ended: run() };
}

function appliedRecord({ recordId, recordDate, revision = 1, sequence = 0n }: CallDetailRecord) {
  return { recordId, recordDate, revision, sequence };
}

async function killAgainAndAgain(dataDir: string, servers: readonly ServerProcess[], world: World): Promise<void> {
  const random = createRandom(SEED);
  const starts = new Map<ServerProcess, Promise<void>>();
  const restart = (server: ServerProcess) => {
    const starting = server.start();
    // A start that fails is told by the next wait for it.
    starting.catch(() => {});
    starts.set(server, starting);
  };
  for (let kill = 1; kill <= KILLS; kill++) {
    await eventually(() => expect(servers.some(({ isServing }) => isServing)).toBe(true));
    // By what was done since, and not by time: on a slow machine nothing would be on the way yet.
    const enough = world.commits + random.int(1, 25);
    for (let seen = -1; world.commits < enough; seen = world.commits)
      await eventually(() => expect(world.commits).toBeGreaterThan(seen));
    const serving = servers.filter(({ isServing }) => isServing);
    const doomed = kill % CRASH_EVERY === 0 ? servers : [random.pick(serving.length > 0 ? serving : servers)];
    if (kill % CRASH_EVERY === 0) await killPostgres(dataDir);
    await Promise.all(doomed.map((server) => server.kill()));
    for (const server of doomed) {
      await starts.get(server);
      restart(server);
    }
  }
  await Promise.all(starts.values());
}

/** As when the machine dies: PostgreSQL comes back by its log. */
async function killPostgres(dataDir: string): Promise<void> {
  await using server = await startEmbeddedPostgres({ dataDir: join(dataDir, "postgres") });
  process.kill(server.pid, "SIGKILL");
}

async function withStore(dataDir: string, run: (db: Database) => Promise<void>): Promise<void> {
  await using server = await startEmbeddedPostgres({ dataDir: join(dataDir, "postgres") });
  await using db = openDatabase({ url: server.url });
  await run(db);
}

async function readStored(db: Database, carrierId: string, kind: Produced["kind"]): Promise<string[]> {
  const table = kind === "cdrs" ? "cdr_record" : "duration_record";
  return systemTransaction(db, async (tx) => {
    const asked = sql<{ record_id: string }>`SELECT record_id FROM ${sql.table(table)} WHERE carrier_id = ${carrierId}`;
    const { rows } = await asked.execute(tx);
    return rows.map((row) => row.record_id);
  });
}

async function makeFolder() {
  const path = await mkdtemp(join(tmpdir(), "tandem-kill-"));
  // PostgreSQL's own account walks through it.
  await chmod(path, 0o755);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}
