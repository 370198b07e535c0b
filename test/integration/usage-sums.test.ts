import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { DatedPeriod } from "../../src/domain/usage/usage-scope.ts";
import { NumberService as CarrierNumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { NumberService } from "../../src/gen/tandem/platform/v1/platform_number_service_pb.js";
import { UsageDimension } from "../../src/gen/tandem/platform/v1/usage_pb.js";
import { systemTransaction } from "../../src/store/database/database.ts";
import type { Tx } from "../../src/store/database/run.ts";
import { rewriteResults } from "../../src/store/privacy/erase-results.ts";
import { deleteResults as retainResults } from "../../src/store/privacy/retention-deletes.ts";
import type { CallResultRow } from "../../src/store/reconciliation/call-result-columns.ts";
import { deleteResults, readResultsNamed, writeResults } from "../../src/store/reconciliation/call-results.ts";
import { keepSums } from "../../src/store/usage/sum-upkeep.ts";
import { readSumSource, type SumSource } from "../../src/store/usage/summed-usage.ts";
import { readCarrierUsage, readUsageGroups } from "../../src/store/usage/usage.ts";
import { withDays } from "../../src/store/usage/usage-periods.ts";
import { NO_FILTER } from "../../src/store/usage/usage-source.ts";
import { useZone } from "../../src/store/usage/usage-sums.ts";
import type { Finding } from "../../src/store/verify/verification.ts";
import { verifyCarrier } from "../../src/store/verify/verify.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { newRequestId, provisionItem, takeNumbers } from "../support/numbers.ts";

const { DAY, DIRECTION, COUNTRY, CARRIER } = UsageDimension;
const DAY_MS = 86_400_000;
const START_MS = Math.floor(Date.now() / DAY_MS) * DAY_MS - 20 * DAY_MS;
const CARRIERS = ["alpha", "beta"] as const;
const ZONES = ["Europe/Copenhagen", "Asia/Kathmandu", "America/St_Johns"];

let exchange: Exchange;
let carriers: ReadonlyMap<string, Client<typeof CarrierNumberService>>;
let platform: Client<typeof NumberService>;
beforeAll(async () => {
  exchange = await startExchange();
  for (const carrierId of CARRIERS) await exchange.addCarrier(carrierId, { timeZone: "Europe/Copenhagen" });
  carriers = new Map(
    await Promise.all(
      CARRIERS.map(async (id) => [id, await exchange.carrierClient(CarrierNumberService, id)] as const),
    ),
  );
  platform = await exchange.platformClient(NumberService);
});
afterAll(() => exchange?.[Symbol.asyncDispose]());
const db = () => exchange.services.db;

/** A world of its own in the same database: its numbers, customers and calls. */
interface World {
  readonly name: string;
  readonly numbers: readonly string[];
  readonly customers: readonly string[];
}
let worlds = 0;

function newWorld(): World {
  const name = `world-${++worlds}`;
  return { name, numbers: takeNumbers(3), customers: [`${name}-a`, `${name}-b`] };
}

interface Call {
  readonly id: number;
  readonly number: number;
  readonly hour: number;
  readonly status: number;
  readonly direction: number;
  readonly country: string | undefined;
  readonly ms: number;
  readonly merged: boolean;
}

const anyCall = (): fc.Arbitrary<Call> =>
  fc.record({
    id: fc.nat({ max: 9 }),
    number: fc.nat({ max: 2 }),
    hour: fc.nat({ max: 12 * 24 }),
    status: fc.integer({ min: 1, max: 13 }),
    direction: fc.constantFrom(1, 2),
    country: fc.constantFrom(undefined, "DK", "SE"),
    ms: fc.nat({ max: 100_000 }),
    merged: fc.boolean(),
  });

const anyCarrier = () => fc.constantFrom(...CARRIERS);
const anyStep = () =>
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        act: fc.constant("turn"),
        carrierId: anyCarrier(),
        calls: fc.array(anyCall(), { maxLength: 6 }),
        deleted: fc.array(fc.nat({ max: 9 }), { maxLength: 2 }),
      } as const),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        act: fc.constant("provision"),
        carrierId: anyCarrier(),
        number: fc.nat({ max: 2 }),
        day: fc.nat({ max: 11 }),
      } as const),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        act: fc.constant("assign"),
        carrierId: anyCarrier(),
        number: fc.nat({ max: 2 }),
        customer: fc.nat({ max: 1 }),
        day: fc.nat({ max: 11 }),
      } as const),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        act: fc.constant("unassign"),
        carrierId: anyCarrier(),
        number: fc.nat({ max: 2 }),
        day: fc.nat({ max: 11 }),
      } as const),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        act: fc.constant("release"),
        carrierId: anyCarrier(),
        number: fc.nat({ max: 2 }),
      } as const),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        act: fc.constant("port"),
        carrierId: anyCarrier(),
        number: fc.nat({ max: 2 }),
        day: fc.nat({ max: 25 }),
      } as const),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        act: fc.constant("keep"),
        carrierId: anyCarrier(),
        steps: fc.constantFrom(1, 2, 12),
      } as const),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        act: fc.constant("zone"),
        carrierId: anyCarrier(),
        zone: fc.constantFrom(...ZONES),
      } as const),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        act: fc.constant("erase"),
        carrierId: anyCarrier(),
        ids: fc.array(fc.nat({ max: 9 }), { maxLength: 4 }),
      } as const),
    },
    {
      weight: 1,
      arbitrary: fc.record({ act: fc.constant("retain"), carrierId: anyCarrier(), day: fc.nat({ max: 11 }) } as const),
    },
  );
type Step = ReturnType<typeof anyStep> extends fc.Arbitrary<infer S> ? S : never;

const micros = (hour: number) => BigInt(START_MS + hour * 3_600_000) * 1_000n;
const dayOf = (day: number) => new Date(START_MS + day * DAY_MS).toISOString().slice(0, 10);
const at = (day: number) => timestampFromMs(START_MS + day * DAY_MS + 5 * 3_600_000);
const nameOf = (world: World, id: number) => ({ side: 1, recordId: `${world.name}-${id}`, recordDate: "2026-01-01" });

function rowOf(world: World, call: Call): CallResultRow {
  const startTime = micros(call.hour);
  const isAnswered = call.ms > 20_000;
  return {
    ...nameOf(world, call.id),
    side: 1,
    revision: 1,
    carrierRecords: call.ms % 2 === 0 ? [{ recordId: "r", recordDate: "2026-01-01", revision: 1 }] : [],
    startTime,
    callDate: new Date(START_MS + call.hour * 3_600_000).toISOString().slice(0, 10),
    status: call.status,
    causes: 0,
    matchedBy: 0,
    pendingReason: 0,
    isOpen: false,
    isMerged: call.merged && call.id === 0,
    dueTime: undefined,
    direction: call.direction,
    phoneNumber: world.numbers[call.number],
    customerId: world.customers[call.id % 2],
    trunkId: undefined,
    callId: undefined,
    otherNumber: undefined,
    otherCountry: call.country,
    platformAnswered: isAnswered,
    carrierAnswered: isAnswered,
    platformMs: call.ms % 3 === 0 ? undefined : BigInt(call.ms),
    carrierMs: call.ms % 5 === 0 ? undefined : BigInt(call.ms + 1),
    billedS: call.ms % 7 === 0 ? BigInt(call.ms) : undefined,
    clockTrunk: undefined,
    clockTime: undefined,
    voteMs: undefined,
    pairKey: undefined,
    correlationKey: undefined,
    idKeys: undefined,
    resultHash: 1n,
    arrivalTime: startTime,
    discrepancyId: undefined,
    discrepancyRevision: 0,
    firstSeenTime: undefined,
    resolvedTime: undefined,
    sequence: undefined,
    payload: undefined,
  };
}

/** How often sums told something, some of their numbers were marked, and a number was assigned. */
const told = { bySums: 0, besideMarks: 0, assigned: 0 };

async function take(world: World, step: Step): Promise<void> {
  const { carrierId } = step;
  const carrier = carriers.get(carrierId);
  const other = carrierId === "alpha" ? "beta" : "alpha";
  const phoneNumber = "number" in step ? (world.numbers[step.number] ?? "") : "";
  const of = { requestId: newRequestId(), carrierId };
  switch (step.act) {
    case "turn": {
      const calls = [...new Map(step.calls.map((call) => [call.id, call])).values()];
      return systemTransaction(db(), async (tx) => {
        await deleteResults(
          tx,
          carrierId,
          step.deleted.map((id) => nameOf(world, id)),
        );
        const results = calls.map((call) => rowOf(world, call));
        const changed = await readResultsNamed(tx, carrierId, results);
        await writeResults(tx, carrierId, { results, changed }, BigInt(Date.now()) * 1_000n);
      });
    }
    case "provision":
      await carrier?.provisionNumbers({
        requestId: newRequestId(),
        items: [provisionItem(phoneNumber, { effectiveTime: at(step.day) })],
      });
      return;
    case "assign": {
      // Of whoever has it, if that is possible then.
      await platform.unassignNumbers({ ...of, phoneNumbers: [phoneNumber], effectiveTime: at(step.day) });
      const item = { phoneNumber, customerId: world.customers[step.customer] ?? "", assigneeKind: 1 };
      const request = { ...of, requestId: newRequestId(), items: [{ ...item, effectiveTime: at(step.day) }] };
      const { outcomes } = await platform.assignNumbers(request);
      if (outcomes[0]?.result.case === "number") told.assigned++;
      return;
    }
    case "unassign":
      await platform.unassignNumbers({ ...of, phoneNumbers: [phoneNumber], effectiveTime: at(step.day) });
      return;
    case "release":
      await carrier?.releaseNumbers({ requestId: newRequestId(), phoneNumbers: [phoneNumber] });
      return;
    case "port":
      await platform.portNumbers({
        ...of,
        toCarrierId: other,
        phoneNumbers: [phoneNumber],
        effectiveTime: at(step.day),
      });
      return;
    case "keep":
      for (let count = 0; count < step.steps; count++)
        await systemTransaction(db(), (tx) => keepSums(tx, carrierId, 3));
      return;
    case "zone":
      return systemTransaction(db(), (tx) => useZone(tx, [carrierId], step.zone));
    case "erase":
      return systemTransaction(db(), async (tx) => {
        const rows = await readResultsNamed(
          tx,
          carrierId,
          step.ids.map((id) => nameOf(world, id)),
        );
        const erased = rows.map((row) => ({
          ...row,
          carrierRecords: [...row.carrierRecords],
          phoneNumber: undefined,
          isHeld: true,
          isWhole: true,
        }));
        await rewriteResults(tx, carrierId, erased, new Map());
      });
    case "retain": {
      const arrivedBefore = micros(step.day * 24);
      return systemTransaction(db(), async (tx) => {
        await retainResults(tx, carrierId, { arrivedBefore, now: arrivedBefore }, { after: undefined, limit: 1_000 });
      });
    }
  }
}

/** What sums and calls say, for each customer and zone. */
async function compare(world: World, turn: number): Promise<void> {
  const [first, last] = turn % 2 === 0 ? [0, 14] : [3, 8];
  for (const customerId of world.customers)
    for (const timeZone of ZONES) {
      const asked = { customerId, timeZone, startDate: dayOf(first), endDate: dayOf(last) };
      const period = await systemTransaction(db(), (tx) => withDays(tx, asked));
      await systemTransaction(
        db(),
        async (tx) => {
          const source = await readSumSource(tx, period);
          const bySums = await tell(tx, period, source);
          expect(bySums).toEqual(await tell(tx, period, undefined));
          if (!source || source.summed.length < CARRIERS.length || bySums.groups.length === 0) return;
          told.bySums++;
          if (source.marks.some(({ phoneNumber }) => world.numbers.includes(phoneNumber))) told.besideMarks++;
        },
        { snapshot: true },
      );
    }
}

async function tell(tx: Tx, period: DatedPeriod, sums: SumSource | undefined) {
  const otherParty = { isWhole: true, secret: Buffer.alloc(32) };
  const query = {
    period,
    filter: NO_FILTER,
    groupBy: [DAY, DIRECTION, COUNTRY, CARRIER] as const,
    versions: [],
    otherParty,
    sums,
  };
  return {
    groups: await readUsageGroups(tx, query, { after: undefined, limit: 100_000 }),
    carriers: sorted(await readCarrierUsage(tx, query)),
  };
}

function sorted(usage: Awaited<ReturnType<typeof readCarrierUsage>>) {
  const text = (value: unknown) =>
    JSON.stringify(value, (_, each: unknown) => (typeof each === "bigint" ? `${each}` : each));
  return usage.map(({ carrierId, parts, cells }) => ({
    carrierId,
    parts: [...parts].sort(([a], [b]) => a - b),
    cells: cells.map(text).sort(),
  }));
}

async function verify(): Promise<Finding[]> {
  const found: Finding[] = [];
  for (const carrierId of CARRIERS) found.push(...(await verifyCarrier(db(), carrierId, new AbortController().signal)));
  return found.filter(({ check }) => check === "SUM_WRONG" || check === "CALL_IN_OTHER_SUM");
}

test("sums say what the calls say, at every step of any history", async () => {
  let histories = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyCall(), { minLength: 8 }),
      fc.array(anyStep(), { minLength: 8, maxLength: 25 }),
      async (calls, steps) => {
        const world = newWorld();
        for (const [number, carrierId] of (["alpha", "beta", "alpha"] as const).entries()) {
          await take(world, { act: "provision", carrierId, number, day: 0 });
          await take(world, { act: "assign", carrierId, number, customer: number % 2, day: number });
        }
        await take(world, { act: "turn", carrierId: "alpha", calls, deleted: [] });
        await take(world, { act: "turn", carrierId: "beta", calls, deleted: [] });
        // Every other history begins with all sums filled, and with a number that changes hands.
        if (histories++ % 2 === 0) {
          for (const carrierId of CARRIERS) while (await systemTransaction(db(), (tx) => keepSums(tx, carrierId)));
          await compare(world, 0);
          await take(world, { act: "assign", carrierId: "alpha", number: 0, customer: 1, day: 2 });
          await compare(world, 0);
        }
        for (const [turn, step] of steps.entries()) {
          await take(world, step);
          await compare(world, turn);
        }
        expect(await verify()).toEqual([]);
      },
    ),
    { numRuns: 5, endOnFailure: true },
  );
  expect(told.bySums).toBeGreaterThan(0);
  expect(told.besideMarks).toBeGreaterThan(0);
});

const BLOCKED = `SELECT 1 FROM pg_stat_activity
  WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%usage_zone%' AND pid <> pg_backend_pid()`;

/** A turn's calls of the world's first number, of many days. */
function callsOfFirst(count: number): Call[] {
  return Array.from({ length: count }, (_, id) => {
    return { id, number: 0, hour: 30 * id, status: 1, direction: 1, country: "DK", ms: 60_001, merged: false };
  });
}

async function worldWithNumber(): Promise<World> {
  const world = newWorld();
  await take(world, { act: "provision", carrierId: "alpha", number: 0, day: 0 });
  await take(world, { act: "assign", carrierId: "alpha", number: 0, customer: 0, day: 0 });
  return world;
}

async function keepAll(): Promise<void> {
  for (const carrierId of CARRIERS) while (await systemTransaction(db(), (tx) => keepSums(tx, carrierId)));
}

test("what moves the calls of a changed number waits for a turn that went by its old history", async () => {
  const world = await worldWithNumber();
  await keepAll();
  let moved: Promise<unknown> | undefined;
  await systemTransaction(db(), async (tx) => {
    const rows = callsOfFirst(9).map((call) => rowOf(world, call));
    await writeResults(tx, "alpha", { results: rows, changed: [] }, BigInt(Date.now()) * 1_000n);
    await take(world, { act: "assign", carrierId: "alpha", number: 0, customer: 1, day: 5 });
    moved = systemTransaction(db(), (other) => keepSums(other, "alpha"));
    await expect.poll(async () => (await db().pool.query(BLOCKED)).rowCount).toBe(1);
  });
  await moved;
  await compare(world, 0);
  expect(await verify()).toEqual([]);
  const { groups } = await usageOf(world, 1);
  expect(groups.length).toBeGreaterThan(0);
});

test("turns, changes of numbers, erasures and moves at once leave every call in one sum", async () => {
  const world = await worldWithNumber();
  await keepAll();
  const repeat = async (count: number, work: (turn: number) => Promise<unknown>) => {
    for (let turn = 0; turn < count; turn++) await work(turn);
  };
  await Promise.all([
    repeat(20, (turn) => {
      const calls = callsOfFirst(10).map((call) => ({ ...call, status: 1 + ((turn + call.id) % 7) }));
      return take(world, { act: "turn", carrierId: "alpha", calls, deleted: [turn % 10] });
    }),
    repeat(12, (turn) =>
      take(world, { act: "assign", carrierId: "alpha", number: 0, customer: turn % 2, day: turn % 10 }),
    ),
    repeat(30, () => take(world, { act: "keep", carrierId: "alpha", steps: 1 })),
    repeat(6, (turn) => take(world, { act: "erase", carrierId: "alpha", ids: [turn] })),
    repeat(6, (turn) => take(world, { act: "retain", carrierId: "alpha", day: turn })),
    repeat(10, (turn) => compare(world, turn)),
  ]);
  await compare(world, 0);
  await keepAll();
  await compare(world, 0);
  expect(await verify()).toEqual([]);
});

/** What the sums say of a customer of a world. */
async function usageOf(world: World, customer: number) {
  const asked = {
    customerId: world.customers[customer] ?? "",
    timeZone: "Europe/Copenhagen",
    startDate: dayOf(0),
    endDate: dayOf(14),
  };
  const period = await systemTransaction(db(), (tx) => withDays(tx, asked));
  return systemTransaction(db(), async (tx) => tell(tx, period, await readSumSource(tx, period)));
}
