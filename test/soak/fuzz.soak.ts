import type { DescMethod } from "@bufbuild/protobuf";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Health } from "../../src/gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "../../src/gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../../src/gen/grpc/reflection/v1alpha/reflection_pb.js";
import { listMethods } from "../support/contract.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { FuzzClient } from "../support/fuzz-client.ts";
import { inputsOf } from "../support/fuzz-inputs.ts";
import { FuzzTarget } from "../support/fuzz-target.ts";
import { KnownValues } from "../support/fuzz-values.ts";
import { judge } from "../support/fuzz-verdict.ts";
import { furnishCarrier } from "../support/two-carriers.ts";

/**
 * The seed of every input, and how many there are; what the server hands out and gets back, such as
 * page tokens, differs from run to run.
 */
const SEED = Number(process.env["TANDEM_TEST_FUZZ_SEED"] ?? Date.now() % 2 ** 31);
const INPUTS = Number(process.env["TANDEM_TEST_FUZZ_INPUTS"] ?? 10_000);
/**
 * The heap is measured after so many, when caches and pools have what they hold, and again after
 * all.
 */
const WARM_INPUTS = INPUTS / 5;
const MAX_HEAP_GROWTH = 1.1;
/** How many calls are in flight at a time. */
const LANES = 24;

const METHODS = [
  ...(await listMethods("carrier")),
  ...(await listMethods("platform")),
  ...[Health, ServerReflection, ServerReflectionAlpha].flatMap((service) => service.methods),
];

let exchange: Exchange;
let target: FuzzTarget;
let known: KnownValues;
let clients: { carrier: FuzzClient; platform: FuzzClient };
const resources = new AsyncDisposableStack();

beforeAll(async () => {
  exchange = resources.use(await startExchange());
  known = new KnownValues([await furnishCarrier(exchange, "acme", 1), await furnishCarrier(exchange, "bolt", 2)]);
  target = resources.use(
    await FuzzTarget.start({
      TANDEM_DATABASE_URL: exchange.databaseUrl,
      TANDEM_DATA_DIR: exchange.dataDir,
      TANDEM_ISSUE_TOKENS: "on",
      TANDEM_PORT: "0",
      TANDEM_SYNCHRONOUS_COMMIT: "off",
      TANDEM_RECONCILE_INTERVAL_MS: "0",
      TANDEM_DRAIN_MS: "2000",
    }),
  );
  const carrier = await exchange.carrierToken("acme");
  const platform = await exchange.platformToken();
  clients = {
    carrier: resources.use(new FuzzClient(target.url, { owner: carrier, other: platform })),
    platform: resources.use(new FuzzClient(target.url, { owner: platform, other: carrier })),
  };
});
afterAll(() => resources.disposeAsync());

test(`whatever comes in by any method, the answer is foreseen, and nothing stays behind (TANDEM_TEST_FUZZ_SEED=${SEED})`, async () => {
  const ends = new Map<string, number>();
  await fuzzAll(WARM_INPUTS, 0, ends);
  const heapWhenWarm = await readHeapOfIdle();
  const warm = countOf(ends);
  await fuzzAll(INPUTS - WARM_INPUTS, 1, ends);
  const heap = await readHeapOfIdle();
  const all = countOf(ends);

  expect(all).toBeGreaterThanOrEqual(INPUTS);
  expect({ logged: target.logged, output: target.output }).toEqual({ logged: [], output: "" });
  expect(heap / heapWhenWarm, `${heapWhenWarm} bytes after ${warm} inputs, ${heap} after ${all}`).toBeLessThanOrEqual(
    MAX_HEAP_GROWTH,
  );
  // Many inputs come past the first check: methods do what they are asked, and refuse it for many
  // reasons.
  expect(ends.get("OK")).toBeGreaterThan(INPUTS / 20);
  expect(ends.size, [...ends.keys()].join(" ")).toBeGreaterThan(20);
}, 300_000);

/**
 * Calls every method, each as often as the others, some at a time, and counts how the calls ended.
 */
async function fuzzAll(inputs: number, round: number, ends: Map<string, number>): Promise<void> {
  const waiting = METHODS.map((method, index) => ({ method, seed: SEED + round * METHODS.length + index }));
  const runs = Math.ceil(inputs / METHODS.length);
  const lane = async () => {
    try {
      for (let next = waiting.shift(); next; next = waiting.shift()) await fuzz(next.method, next.seed, runs, ends);
    } finally {
      // After a failure the others end with what they are at.
      waiting.length = 0;
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

async function fuzz(method: DescMethod, seed: number, runs: number, ends: Map<string, number>): Promise<void> {
  const client = method.parent.typeName.startsWith("tandem.platform.") ? clients.platform : clients.carrier;
  const property = fc.asyncProperty(inputsOf(method, known), async (input) => {
    const answer = await client.send(input);
    target.assertAlive();
    const { complaint, reason } = judge(input, answer);
    if (complaint !== undefined) throw new Error(`${complaint}\n${target.logged.at(-1) ?? ""}`);
    ends.set(reason, (ends.get(reason) ?? 0) + 1);
    if (reason === "OK") known.learn(answer.body.toString("utf8"));
  });
  await fc.assert(property, { seed, numRuns: runs, endOnFailure: true });
}

function countOf(ends: ReadonlyMap<string, number>): number {
  return [...ends.values()].reduce((sum, count) => sum + count, 0);
}

/** The heap once no call is left: those that were cancelled end a moment later. */
async function readHeapOfIdle(): Promise<number> {
  const nothing = { callCount: 0, streamCount: 0 };
  await vi.waitFor(async () => expect(await target.ask("state")).toEqual(nothing), { timeout: 20_000, interval: 20 });
  const { heapBytes = 0 } = await target.ask("heap");
  return heapBytes;
}
