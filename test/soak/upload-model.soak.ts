import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTandemTransport, type TandemTransport } from "../../src/client/transport.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { type PostgresProxy, startPostgresProxy } from "../support/postgres-proxy.ts";
import { BOTH_UPLOADS, cdrUpload, type TestedUpload } from "../support/upload-kinds.ts";
import {
  CrashAtCommit,
  CutConnection,
  checkStored,
  expectedIds,
  LoseDatabase,
  newModel,
  OpenUpload,
  RestoreBackup,
  SendBatch,
  TakeBackup,
  type UploadCommand,
  type UploadReality,
  uploadTheRest,
} from "../support/upload-model.ts";
import { expectSound, newCarrier, storedIds } from "../support/upload-store.ts";

const RUNS = Number(process.env["TANDEM_TEST_RUNS"] ?? 12);
const MAX_COMMANDS = 50;
const SEED = Number(process.env["TANDEM_TEST_SEED"] ?? Date.now() % 2 ** 31);

const client = fc.constantFrom("a", "b");
const count = fc.integer({ min: 1, max: 40 });
const sendFrom = (shift: fc.Arbitrary<number>) =>
  fc
    .tuple(client, shift, count, fc.boolean())
    .map(([name, by, records, waits]) => new SendBatch(name, by, records, waits));
const crash = fc
  .constantFrom("cutBefore" as const, "cutAfter" as const, "cutAtOnce" as const)
  .map((fault) => new CrashAtCommit(fault));

// Named as often as they are to be drawn.
const commands: fc.Arbitrary<UploadCommand>[] = [
  client.map((name) => new OpenUpload(name)),
  client.map((name) => new OpenUpload(name)),
  sendFrom(fc.constant(0)),
  sendFrom(fc.constant(0)),
  sendFrom(fc.constant(0)),
  sendFrom(fc.constant(0)),
  sendFrom(fc.integer({ min: -60, max: -1 })),
  sendFrom(fc.integer({ min: 1, max: 10 })),
  client.map((name) => new CutConnection(name)),
  crash,
  crash,
  fc.constant(new LoseDatabase()),
  fc.constant(new TakeBackup()),
  fc.constant(new RestoreBackup()),
];

let exchange: Exchange;
let proxy: PostgresProxy;
const apps: string[] = [];
const endings: string[] = [];
beforeAll(async () => {
  exchange = await startExchange();
  proxy = await startPostgresProxy(exchange.databaseUrl);
  const databaseUrl = proxy.urlOf(exchange.databaseUrl);
  for (let app = 0; app < 2; app++) apps.push((await exchange.openSecondApp({ databaseUrl })).url);
});
afterAll(async () => {
  await exchange[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
});

async function openReality(upload: TestedUpload): Promise<UploadReality> {
  const carrierId = await newCarrier(exchange);
  const token = upload === cdrUpload ? await exchange.platformToken() : await exchange.carrierToken(carrierId);
  const transport = (app: number): TandemTransport => createTandemTransport({ baseUrl: apps[app] ?? "", token });
  return {
    exchange,
    proxy,
    upload,
    carrierId,
    transports: { a: transport(0), b: transport(1) },
    clients: {},
    verdicts: new Map(),
    endings,
  };
}

test.each(BOTH_UPLOADS)(
  `$method: no sequence of sends, gaps, cuts, crashes, rivals and restores loses, doubles or strands a record (seed ${SEED})`,
  async ({ upload }) => {
    await fc.assert(
      fc.asyncProperty(fc.commands(commands, { maxCommands: MAX_COMMANDS, size: "max" }), async (sequence) => {
        const real = await openReality(upload);
        const model = newModel();
        try {
          await fc.asyncModelRun(() => ({ model, real }), sequence);
          await uploadTheRest(model, real);
          await checkStored(model, real);
          expect((await storedIds(exchange, upload, real.carrierId)).toSorted()).toEqual(expectedIds().toSorted());
          await expectSound(exchange, real.carrierId);
        } finally {
          for (const name of ["a", "b"] as const) {
            real.clients[name]?.stream.cut();
            real.transports[name][Symbol.dispose]();
          }
        }
      }),
      { numRuns: RUNS, seed: SEED, endOnFailure: true },
    );
    // Otherwise it proves little.
    expect(proxy.faultCount).toBeGreaterThan(0);
  },
  60_000 + RUNS * 2_000,
);
