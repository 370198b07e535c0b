import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { sql } from "kysely";
import { expect, test } from "vitest";
import {
  arraySource,
  CdrService,
  createTandemTransport,
  DurationService,
  ingestCdrs,
  PlatformCdrService,
  type TandemTransport,
  uploadDurations,
} from "../../src/client/index.ts";
import { PLATFORM_SCOPES } from "../../src/domain/carriers/scopes.ts";
import { PrivacyService, SubjectRole } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { DiscrepancyStatus } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import { PartyKind } from "../../src/gen/tandem/type/v1/party_pb.js";
import { type Database, openDatabase, systemTransaction } from "../../src/store/database/database.ts";
import { readColumn } from "../../src/store/database/run.ts";
import { startEmbeddedPostgres } from "../../src/store/postgres/embedded-postgres.ts";
import { findSigningKey } from "../../src/trust/signing-key.ts";
import { addCarrier, assignNumbers } from "../support/carriers.ts";
import { runCli } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { EARLIEST } from "../support/feed.ts";
import { pace } from "../support/pace.ts";
import { reasonOf } from "../support/refusal.ts";
import { findFreePort, ServerProcess } from "../support/server-process.ts";
import { cdrOf, durationOf, NOON_MS, OWN_NUMBER, type RecordSpec } from "../support/upload-kinds.ts";

const CARRIER = "alpha";
const PERSON = "+442079460999";
const HOUR_MS = 3_600_000;
/** So many acknowledged records before the backup begins, and again after it has ended. */
const SOME = 200;

test("a backup under live load has all that was acknowledged before it ended; what is restored from it adds up, tells clients of its new epoch, and erases again what was erased since", async () => {
  await using folder = await makeFolder();
  const [old, restored, backup] = ["old", "restored", "backup"].map((name) => join(folder.path, name)) as Three;
  const settings = { TANDEM_LOG_LEVEL: "error" };
  await using server = new ServerProcess(await findFreePort(), { ...settings, TANDEM_DATA_DIR: old });
  await server.start();
  await withStore(old, async (db) => {
    await addCarrier(db, CARRIER, { graceMs: 0n, timeZone: "UTC" });
    await assignNumbers(db, CARRIER, [OWN_NUMBER], "customer-1");
  });
  await using clients = await openClients(old, server.port);
  await ingestCdrs(createClient(PlatformCdrService, clients.platform), {
    carrierId: CARRIER,
    uploadId: "person",
    source: arraySource([cdrOf({ id: "person-1", called: PERSON })]),
  });
  const cursor = await firstCursor(clients.carrier);
  // A call that is not judged yet would be kept for now.
  await withStore(old, (db) => eventually(async () => expect(await isJudged(db, "person-1")).toBe(true), 60_000));
  const done = new AbortController();
  const loads = [load("cdrs", clients, done.signal), load("durations", clients, done.signal)];
  const acknowledged = () => loads.map(({ acks }) => acks.reduce((sum, { count }) => sum + count, 0));
  const more = (than: readonly number[]) =>
    eventually(() => {
      for (const [index, count] of acknowledged().entries()) expect(count).toBeGreaterThan((than[index] ?? 0) + SOME);
    }, 120_000);
  await more([0, 0]);

  const made = await runCli(["backup", "--to", backup, "--data-dir", old, "--json"], settings);
  expect([made.code, made.messages]).toEqual([0, made.messages]);
  const throughMs = Date.parse(JSON.parse(made.stdout).throughTime);
  await more(acknowledged());
  const privacy = createClient(PrivacyService, clients.platform);
  const { erasure } = await privacy.erasePhoneNumber(erasureOf(PERSON));
  const erasureId = erasure?.erasureId ?? "";
  await eventually(
    async () => expect((await privacy.getErasure({ erasureId })).erasure?.receipt).toBeDefined(),
    60_000,
  );
  done.abort();
  await Promise.all(loads.map(({ ended }) => ended));
  await server.kill();
  // The last to leave stops the PostgreSQL that the server left behind.
  await withStore(old, async () => {});

  const remade = await runCli(["restore", "--from", backup, "--data-dir", restored, "--json"], settings);
  expect([remade.code, remade.stderr]).toEqual([0, remade.stderr]);
  expect(JSON.parse(remade.stdout)).toMatchObject({
    carriers: 1,
    erasures: 1,
    laterErasures: 1,
    journals: [join(old, "erasures.journal")],
  });
  const verified = await runCli(["verify", "--data-dir", restored], settings);
  expect([verified.code, verified.stdout]).toEqual([0, "All adds up.\n"]);

  await withStore(restored, async (db) => {
    for (const { kind, acks, sent } of loads) {
      const stored = new Set(await storedIds(db, kind));
      const promised = acks.filter(({ atMs }) => atMs < throughMs).flatMap(({ ids }) => ids);
      expect(promised.length).toBeGreaterThan(SOME);
      expect(promised.filter((id) => !stored.has(id))).toEqual([]);
      expect([...stored].filter((id) => !sent.has(id) && id !== "person-1")).toEqual([]);
      // It is a backup: what came later is not in it.
      expect(stored.size).toBeLessThan(sent.size);
    }
  });

  await using again = new ServerProcess(await findFreePort(), { ...settings, TANDEM_DATA_DIR: restored });
  await again.start();
  // The keys are those of before, and so are tokens.
  await using anew = await openClients(old, again.port);
  const reading = createClient(CdrService, anew.carrier);
  const resume = async () => {
    for await (const { frame } of reading.streamCdrs({ start: { position: { case: "cursor", value: cursor } } }))
      return frame;
    return undefined;
  };
  expect(await reasonOf(resume())).toBe("FEED_EPOCH_CHANGED");
  const { records } = await reading.getCdr({ name: { case: "recordId", value: "person-1" } });
  expect(records[0]?.parties?.called).toMatchObject({ kind: PartyKind.ERASED });
  expect(records[0]?.parties?.called?.value).toBeUndefined();
  await again.kill();
  await withStore(restored, async () => {});
}, 600_000);

type Three = [string, string, string];

interface Clients extends AsyncDisposable {
  readonly carrier: TandemTransport;
  readonly platform: TandemTransport;
}

async function openClients(dataDir: string, port: number): Promise<Clients> {
  const key = await findSigningKey(dataDir);
  const baseUrl = `http://127.0.0.1:${port}`;
  const transport = async (who: { carrierId: string } | { scopes: typeof PLATFORM_SCOPES }) => {
    const token = await key.issueToken({
      issuer: "tandem",
      audience: "tandem",
      identity: "test",
      ttlSeconds: 3_600,
      ...who,
    });
    return createTandemTransport({ baseUrl, token });
  };
  const carrier = await transport({ carrierId: CARRIER });
  const platform = await transport({ scopes: PLATFORM_SCOPES });
  return {
    carrier,
    platform,
    async [Symbol.asyncDispose]() {
      carrier[Symbol.dispose]();
      platform[Symbol.dispose]();
    },
  };
}

/** Where a consumer stands that has applied the first entries. */
async function firstCursor(transport: TandemTransport): Promise<string> {
  for await (const { frame, cursor } of createClient(CdrService, transport).streamCdrs({ start: EARLIEST }))
    if (frame.case === "batch") return cursor;
  throw new Error("the feed ended");
}

/** Uploads one upload after the other, and keeps when what was acknowledged. */
function load(kind: "cdrs" | "durations", { carrier, platform }: Clients, done: AbortSignal) {
  const acks: { atMs: number; count: number; ids: string[] }[] = [];
  const sent = new Set<string>();
  const uploadOne = async (number: number) => {
    const name = `${kind}-${number}`;
    // Each upload has ten minutes of its own: else all of them would be one crowd of the same two
    // parties.
    const firstMs = NOON_MS - number * 600_000;
    let total = Number.POSITIVE_INFINITY;
    let read = 0;
    let told = 0;
    const sourceOf = <Rec>(make: (spec: RecordSpec) => Rec) => ({
      read: async (offset: number, limit: number) => {
        // The pace of a busy switch: what is measured here is not speed.
        await pace(5);
        if (total === Number.POSITIVE_INFINITY && (done.aborted || offset > 500)) total = Math.max(read, offset);
        const end = Math.min(offset + limit, total);
        read = Math.max(read, end);
        const specs = Array.from({ length: Math.max(0, end - offset) }, (_, index) => ({
          id: `${name}-${offset + index}`,
          connectedMs: 1_000 + offset + index,
          startMs: firstMs + (offset + index) * 1_000,
        }));
        for (const { id } of specs) sent.add(id);
        return specs.map(make);
      },
    });
    const shared = {
      uploadId: name,
      batchRecords: 20,
      onEvent: (event: { kind: string; committedOffset?: number }) => {
        if (event.kind !== "COMMITTED" || event.committedOffset === undefined) return;
        const ids = Array.from({ length: event.committedOffset - told }, (_, index) => `${name}-${told + index}`);
        told = event.committedOffset;
        acks.push({ atMs: Date.now(), count: ids.length, ids });
      },
    };
    if (kind === "cdrs")
      await ingestCdrs(createClient(PlatformCdrService, platform), {
        ...shared,
        carrierId: CARRIER,
        source: sourceOf(cdrOf),
      });
    else await uploadDurations(createClient(DurationService, carrier), { ...shared, source: sourceOf(durationOf) });
  };
  const run = async () => {
    for (let number = 0; !done.aborted; number++) await uploadOne(number);
  };
  return { kind, acks, sent, ended: run() };
}

function erasureOf(phoneNumber: string) {
  return {
    requestId: "erase-1",
    phoneNumber,
    startTime: timestampFromMs(NOON_MS - HOUR_MS),
    endTime: timestampFromMs(NOON_MS + HOUR_MS),
    role: SubjectRole.ANY,
    caseReference: "case-7",
    verifiedBy: "privacy desk",
  };
}

async function withStore(dataDir: string, run: (db: Database) => Promise<void>): Promise<void> {
  await using server = await startEmbeddedPostgres({ dataDir: join(dataDir, "postgres") });
  await using db = openDatabase({ url: server.url });
  await run(db);
}

async function isJudged(db: Database, recordId: string): Promise<boolean> {
  const statuses = await systemTransaction(
    db,
    (tx) => readColumn(tx)<number>`SELECT status FROM call_result WHERE record_id = ${recordId}`,
  );
  return statuses.length > 0 && statuses.every((status) => status !== DiscrepancyStatus.PENDING);
}

async function storedIds(db: Database, kind: "cdrs" | "durations"): Promise<string[]> {
  const table = kind === "cdrs" ? "cdr_record" : "duration_record";
  return systemTransaction(db, async (tx) => {
    const asked = sql<{ record_id: string }>`SELECT record_id FROM ${sql.table(table)} WHERE carrier_id = ${CARRIER}`;
    const { rows } = await asked.execute(tx);
    return rows.map((row) => row.record_id);
  });
}

async function makeFolder() {
  const path = await mkdtemp(join(tmpdir(), "tandem-backup-"));
  // PostgreSQL's own account walks through it.
  await chmod(path, 0o755);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}
