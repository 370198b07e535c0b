import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ReportingScope } from "../../src/domain/carriers/carrier.ts";
import { systemTransaction } from "../../src/store/database/database.ts";
import type { Tx } from "../../src/store/database/run.ts";
import { rewriteResults } from "../../src/store/privacy/erase-results.ts";
import { deleteResults as retainResults } from "../../src/store/privacy/retention-deletes.ts";
import type { CallResultRow } from "../../src/store/reconciliation/call-result-columns.ts";
import { deleteResults, readResultsNamed, writeResults } from "../../src/store/reconciliation/call-results.ts";
import { insertPairs, type PairRow } from "../../src/store/reconciliation/pair-results.ts";
import {
  SUMMARY_DIMENSIONS,
  type SummaryFigures,
  type SummaryKey,
  type SummaryRequest,
  summarizeReconciliation,
} from "../../src/store/reconciliation/reconciliation-summary.ts";
import { readSummarySource, type SummarySource } from "../../src/store/reconciliation/summary-source.ts";
import { keepSums } from "../../src/store/usage/sum-upkeep.ts";
import { verifyCarrier } from "../../src/store/verify/verify.ts";
import { emptySums } from "../support/call-results.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const DAYS = 12;
/** So that some calls are due and some are not. */
const START_MS = Math.floor(Date.now() / DAY_MS) * DAY_MS - (DAYS - 1) * DAY_MS;
/** Of the zones that the carrier agreed one after the other, hours from UTC. */
const OFFSETS = [2, -12, 14, 5.75];

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange?.[Symbol.asyncDispose]());
const db = () => exchange.services.db;
let worlds = 0;

async function newCarrier(): Promise<string> {
  const carrierId = `world-${++worlds}`;
  await exchange.addCarrier(carrierId);
  return carrierId;
}

interface Call {
  readonly id: number;
  readonly minute: number;
  readonly offset: number;
  readonly status: number;
  readonly direction: number;
  readonly causes: number;
  readonly matchedBy: number;
  readonly pair: bigint | undefined;
  readonly customer: number;
  readonly trunk: number;
  /** Which sides have a record: 1, 2 or both. */
  readonly sides: number;
  readonly ms: number;
  readonly merged: boolean;
}

const MOST_IDS = 30;
const anyCall = (): fc.Arbitrary<Call> =>
  fc.record({
    id: fc.nat({ max: MOST_IDS - 1 }),
    // Now and then with the beginning of an hour.
    minute: fc.oneof(
      fc.nat({ max: DAYS * 1_440 }),
      fc.nat({ max: DAYS * 24 }).map((hour) => hour * 60),
    ),
    offset: fc.constantFrom(...OFFSETS),
    status: fc.oneof(
      { weight: 2, arbitrary: fc.integer({ min: 1, max: 13 }) },
      { weight: 1, arbitrary: fc.constantFrom(1, 9, 10) },
    ),
    direction: fc.constantFrom(1, 2),
    causes: fc.constantFrom(0, 1 << 2, (1 << 6) | (1 << 7)),
    matchedBy: fc.integer({ min: 0, max: 2 }),
    pair: fc.constantFrom(undefined, 0n, -5n, 7n << 55n),
    customer: fc.nat({ max: 2 }),
    trunk: fc.nat({ max: 1 }),
    sides: fc.integer({ min: 1, max: 3 }),
    ms: fc.nat({ max: 100_000 }),
    merged: fc.boolean(),
  });

const anyTime = () =>
  fc.oneof(
    fc.nat({ max: DAYS * 24 }).map((hour) => hour * 60),
    fc.nat({ max: DAYS * 1_440 }),
  );
const anyScopes = (): fc.Arbitrary<ReportingScope[]> =>
  fc
    .tuple(
      fc.array(anyTime(), { maxLength: 3 }),
      fc.array(fc.subarray([1, 2], { minLength: 1 }), { minLength: 4, maxLength: 4 }),
      fc.nat(),
    )
    .map(([times, directions, odd]) => {
      const bounds = [...new Set(times)]
        .sort((a, b) => a - b)
        .map((minute) => BigInt(START_MS + minute * 60_000) * 1_000n);
      // Times without a scope between them, sometimes.
      return [undefined, ...bounds].flatMap((startTime, index) =>
        bounds.length > 0 && (odd >> index) % 3 === 0
          ? []
          : {
              directions: directions[index] ?? [1],
              unanswered: (odd >> index) % 2 === 0,
              emergency: false,
              ...(startTime === undefined ? {} : { startTime }),
              ...(bounds[index] === undefined ? {} : { endTime: bounds[index] }),
            },
      );
    });

const anyStep = () =>
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        act: fc.constant("turn"),
        calls: fc.array(anyCall(), { maxLength: 10 }),
        deleted: fc.array(fc.nat({ max: MOST_IDS - 1 }), { maxLength: 4 }),
      } as const),
    },
    {
      weight: 2,
      arbitrary: fc.record({ act: fc.constant("pairs"), calls: fc.array(anyCall(), { maxLength: 10 }) } as const),
    },
    { weight: 2, arbitrary: fc.record({ act: fc.constant("keep"), steps: fc.constantFrom(1, 2, 40) } as const) },
    { weight: 1, arbitrary: fc.record({ act: fc.constant("unfill") } as const) },
    {
      weight: 2,
      arbitrary: fc.record({
        act: fc.constant("erase"),
        ids: fc.array(fc.nat({ max: MOST_IDS - 1 }), { maxLength: 8 }),
      } as const),
    },
    { weight: 1, arbitrary: fc.record({ act: fc.constant("retain"), day: fc.nat({ max: 6 }) } as const) },
  );
type Step = ReturnType<typeof anyStep> extends fc.Arbitrary<infer S> ? S : never;

const nameOf = (id: number) => ({ side: 1, recordId: `call-${id}`, recordDate: "2026-01-01" });
const startOf = ({ minute }: Call) => START_MS + minute * 60_000;
const dayOf = (call: Call) => new Date(startOf(call) + call.offset * HOUR_MS).toISOString().slice(0, 10);
const customerOf = ({ customer }: Call) => (customer === 0 ? undefined : `customer-${customer}`);
const trunkOf = ({ trunk }: Call) => (trunk === 0 ? undefined : `trunk-${trunk}`);

function rowOf(call: Call): CallResultRow {
  const isAnswered = call.ms > 20_000;
  const [hasPlatform, hasCarrier] = [(call.sides & 1) !== 0, (call.sides & 2) !== 0];
  return {
    ...nameOf(call.id),
    revision: 1,
    carrierRecords: [],
    startTime: BigInt(startOf(call)) * 1_000n,
    callDate: dayOf(call),
    status: call.status,
    causes: call.causes,
    matchedBy: call.matchedBy,
    pendingReason: 0,
    isOpen: false,
    isMerged: call.merged && call.id === 0,
    dueTime: undefined,
    direction: call.direction,
    phoneNumber: "+4532000001",
    customerId: customerOf(call),
    trunkId: trunkOf(call),
    callId: undefined,
    otherNumber: undefined,
    otherCountry: undefined,
    platformAnswered: hasPlatform ? isAnswered : undefined,
    carrierAnswered: hasCarrier ? isAnswered : undefined,
    platformMs: call.ms % 3 === 0 ? undefined : BigInt(call.ms),
    carrierMs: call.ms % 5 === 0 ? undefined : BigInt(call.ms + 1),
    billedS: call.ms % 7 === 0 ? BigInt(call.ms) : undefined,
    clockTrunk: undefined,
    clockTime: undefined,
    voteMs: undefined,
    pairKey: call.pair,
    correlationKey: undefined,
    idKeys: undefined,
    resultHash: 1n,
    arrivalTime: BigInt(startOf(call)) * 1_000n,
    discrepancyId: undefined,
    discrepancyRevision: 0,
    firstSeenTime: undefined,
    resolvedTime: undefined,
    sequence: undefined,
    payload: undefined,
  };
}

function pairOf(call: Call): PairRow {
  return {
    ...nameOf(call.id),
    revision: 1,
    carrierRecordId: `duration-${call.id}`,
    carrierRecordDate: "2026-01-01",
    carrierRevision: 1,
    startMs: startOf(call),
    callDate: dayOf(call),
    status: 1 + (call.status % 3),
    matchedBy: call.matchedBy,
    direction: call.direction,
    phoneNumber: undefined,
    customerId: customerOf(call),
    trunkId: trunkOf(call),
    callId: undefined,
    otherNumber: undefined,
    otherCountry: undefined,
    answered: call.ms > 20_000,
    platformMs: call.ms % 3 === 0 ? undefined : call.ms,
    carrierMs: call.ms % 5 === 0 ? undefined : call.ms + 1,
    billedS: call.ms % 7 === 0 ? call.ms : undefined,
    clockTrunk: "",
    clockMs: startOf(call),
    voteMs: 0,
    idKeys: [],
    resultHash: 1n,
    arrivalMs: startOf(call),
  };
}

const unique = (calls: readonly Call[]) => [...new Map(calls.map((call) => [call.id, call])).values()];

async function take(carrierId: string, step: Step): Promise<void> {
  const now = BigInt(Date.now()) * 1_000n;
  await systemTransaction(db(), async (tx) => {
    switch (step.act) {
      case "turn": {
        await deleteResults(tx, carrierId, step.deleted.map(nameOf));
        const results = unique(step.calls).map(rowOf);
        const changed = await readResultsNamed(tx, carrierId, results);
        return writeResults(tx, carrierId, { results, changed }, now);
      }
      case "pairs": {
        const calls = unique(step.calls);
        await deleteResults(
          tx,
          carrierId,
          calls.map(({ id }) => nameOf(id)),
        );
        return insertPairs(tx, carrierId, calls.map(pairOf), now);
      }
      case "keep": {
        for (let count = 0; count < step.steps; count++) await keepSums(tx, carrierId, 4);
        return;
      }
      case "unfill": {
        return emptySums(tx, carrierId);
      }
      case "erase": {
        const rows = await readResultsNamed(tx, carrierId, step.ids.map(nameOf));
        const erased = rows.map((row) => ({
          ...row,
          carrierRecords: [],
          phoneNumber: undefined,
          isHeld: true,
          isWhole: true,
        }));
        return rewriteResults(tx, carrierId, erased, new Map());
      }
      case "retain": {
        const arrivedBefore = BigInt(START_MS + step.day * DAY_MS) * 1_000n;
        await retainResults(tx, carrierId, { arrivedBefore, now: arrivedBefore }, { after: undefined, limit: 1_000 });
        return;
      }
      default:
        return step satisfies never;
    }
  });
}

interface Question {
  readonly scopes: ReportingScope[];
  readonly graceHours: number;
  readonly groupBy: SummaryRequest["groupBy"][number][];
  readonly customers: readonly string[];
  readonly trunks: readonly string[];
  readonly direction: number | undefined;
  readonly first: number;
  readonly days: number;
  readonly pageSize: number;
}

const anyQuestion = (): fc.Arbitrary<Question> =>
  fc.record({
    scopes: anyScopes(),
    graceHours: fc.oneof(fc.nat({ max: 24 }), fc.nat({ max: DAYS * 24 })),
    groupBy: fc.subarray([...SUMMARY_DIMENSIONS]),
    customers: fc.oneof(
      { weight: 3, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.constant(["customer-1"]) },
    ),
    trunks: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.constant(["trunk-1"]) }),
    direction: fc.constantFrom(undefined, undefined, 1),
    first: fc.nat({ max: 3 }),
    days: fc.integer({ min: 3, max: DAYS + 2 }),
    pageSize: fc.constantFrom(1, 3, 1_000),
  });

/** Asks sums and calls the same. */
async function compare(carrierId: string, question: Question): Promise<void> {
  const request = requestOf(carrierId, question);
  await systemTransaction(
    db(),
    async (tx) => {
      const bySums = await ask(tx, request, question.pageSize);
      expect(bySums).toEqual(await ask(tx, request, question.pageSize, { ofCalls: [request] }));
    },
    { snapshot: true },
  );
}

function requestOf(carrierId: string, question: Question): SummaryRequest {
  const day = (number: number) => new Date(START_MS + (number - 1) * DAY_MS).toISOString().slice(0, 10);
  return {
    carrierId,
    startDate: day(question.first),
    endDate: day(question.first + question.days),
    customerIds: question.customers,
    trunkIds: question.trunks,
    direction: question.direction,
    groupBy: question.groupBy,
    reportingScopes: question.scopes,
    graceMs: BigInt(question.graceHours * HOUR_MS),
  };
}

async function ask(tx: Tx, request: SummaryRequest, limit: number, source?: SummarySource): Promise<SummaryFigures[]> {
  const all: SummaryFigures[] = [];
  for (let after: SummaryKey | undefined; ; ) {
    const rows = await summarizeReconciliation(tx, request, { after, limit }, source);
    all.push(...rows);
    after = rows.at(-1)?.key;
    if (rows.length < limit || request.groupBy.length === 0) return all;
  }
}

async function verify(carrierId: string) {
  const found = await verifyCarrier(db(), carrierId, new AbortController().signal);
  return found.filter(({ check }) => check === "SUM_WRONG" || check === "SUMMARY_WRONG");
}

async function keepAll(carrierId: string): Promise<void> {
  while (await systemTransaction(db(), (tx) => keepSums(tx, carrierId)));
}

test("sums answer what the calls answer, at every step of any history, to any question", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyCall(), { minLength: 15, maxLength: 60 }),
      fc.array(fc.tuple(anyStep(), fc.array(anyQuestion(), { minLength: 3, maxLength: 3 })), {
        minLength: 5,
        maxLength: 12,
      }),
      async (calls, steps) => {
        const carrierId = await newCarrier();
        await take(carrierId, { act: "turn", calls, deleted: [] });
        for (const [step, questions] of steps) {
          await take(carrierId, step);
          for (const question of questions) await compare(carrierId, question);
        }
        expect(await verify(carrierId)).toEqual([]);
        await keepAll(carrierId);
        expect(await verify(carrierId)).toEqual([]);
      },
    ),
    { numRuns: 5, endOnFailure: true },
  );
});

/** Of two parties, whom only their hash tells apart. */
function ambiguousCalls(): Call[] {
  const call = { offset: 2, status: 10, direction: 1, causes: 0, matchedBy: 0, customer: 1, trunk: 1, merged: false };
  return [1n, 2n, 2n, 3n].map((pair, id) => ({ ...call, id, minute: 60, pair, sides: 1 + (id % 2), ms: 60_001 + id }));
}

const EVERYTHING: Question = {
  ...{ scopes: [], graceHours: 0, groupBy: [...SUMMARY_DIMENSIONS], customers: [], trunks: [], direction: undefined },
  ...{ first: 0, days: DAYS + 2, pageSize: 1_000 },
};

/** The days that a summary reads from calls. */
async function daysOfCalls(carrierId: string, question: Question): Promise<string[]> {
  const request = requestOf(carrierId, question);
  const { ofCalls } = await systemTransaction(db(), (tx) => readSummarySource(tx, request));
  return ofCalls.map(({ startDate, endDate }) => `${startDate}/${endDate}`);
}

test("calls are read only of days that are not filled, and on which a scope begins or ends between calls of one kind", async () => {
  const carrierId = await newCarrier();
  const day = (number: number) => new Date(START_MS + number * DAY_MS).toISOString().slice(0, 10);
  const [call] = ambiguousCalls() as [Call];
  const minutes = [600, 2_050, 2_060, 4_000];
  const calls = minutes.map((minute, id) => ({ ...call, id, status: 1, pair: undefined, minute }));
  await take(carrierId, { act: "turn", calls, deleted: [] });
  expect(await daysOfCalls(carrierId, EVERYTHING)).toEqual([]);
  const since = (minute: number) => {
    const startTime = BigInt(START_MS + minute * 60_000) * 1_000n;
    return { ...EVERYTHING, scopes: [{ directions: [1], unanswered: false, emergency: false, startTime }] };
  };
  expect(await daysOfCalls(carrierId, since(2_055))).toEqual([`${day(1)}/${day(2)}`]);
  // Midnight of the zone.
  expect(await daysOfCalls(carrierId, since(1_440 - 120))).toEqual([]);
  for (const minute of [2_055, 1_440 - 120, 2_050]) await compare(carrierId, since(minute));
  await take(carrierId, { act: "unfill" });
  expect(await daysOfCalls(carrierId, EVERYTHING)).toEqual([`${day(-1)}/${day(DAYS + 1)}`]);
  await keepAll(carrierId);
  expect(await daysOfCalls(carrierId, EVERYTHING)).toEqual([]);
});

test("verification finds a sum with other figures or hours than its calls, and one without calls", async () => {
  const carrierId = await newCarrier();
  await take(carrierId, { act: "turn", calls: ambiguousCalls(), deleted: [] });
  expect(await verify(carrierId)).toEqual([]);
  for (const change of ["call_delta_ms = call_delta_ms + 1", "hours = hours || 0 || 1", "trunk_id = 'other'"]) {
    await db().pool.query(`UPDATE summary_sum SET ${change} WHERE carrier_id = $1 AND pair_key = 2`, [carrierId]);
    expect(await verify(carrierId)).toContainEqual(expect.objectContaining({ check: "SUMMARY_WRONG" }));
    await take(carrierId, { act: "unfill" });
    await keepAll(carrierId);
    expect(await verify(carrierId)).toEqual([]);
  }
});

test("an erasure leaves ambiguous calls without their parties, in the sums too", async () => {
  const carrierId = await newCarrier();
  await take(carrierId, { act: "turn", calls: ambiguousCalls(), deleted: [] });
  await compare(carrierId, EVERYTHING);
  await take(carrierId, { act: "erase", ids: [1, 3, 3] });
  await compare(carrierId, EVERYTHING);
  expect(await verify(carrierId)).toEqual([]);
});

test("turns, erasures, retention and filling at once leave every call in the sums once", async () => {
  const carrierId = await newCarrier();
  const calls = (turn: number): Call[] =>
    Array.from({ length: MOST_IDS }, (_, id) => {
      const sides = 1 + ((turn + id) % 3);
      const call = { id, minute: 150 * id, offset: 2, status: 1 + ((turn + id) % 13), direction: 1, causes: 0, sides };
      return { ...call, matchedBy: 1, pair: 5n, customer: id % 2, trunk: 1, ms: 60_001 + turn, merged: false };
    });
  // Of another worker of the same carrier.
  const others = (turn: number) => calls(turn).map((call) => ({ ...call, id: call.id + MOST_IDS }));
  await take(carrierId, { act: "turn", calls: calls(0), deleted: [] });
  await take(carrierId, { act: "unfill" });
  const repeat = async (count: number, work: (turn: number) => Promise<unknown>) => {
    for (let turn = 0; turn < count; turn++) await work(turn);
  };
  await Promise.all([
    repeat(15, (turn) => take(carrierId, { act: "turn", calls: calls(turn), deleted: [turn] })),
    repeat(15, (turn) => take(carrierId, { act: "pairs", calls: others(turn) })),
    repeat(40, () => take(carrierId, { act: "keep", steps: 1 })),
    repeat(8, (turn) => take(carrierId, { act: "erase", ids: [turn, turn + 9] })),
    repeat(6, (turn) => take(carrierId, { act: "retain", day: Math.floor(turn / 3) })),
    repeat(15, () => compare(carrierId, EVERYTHING)),
  ]);
  await keepAll(carrierId);
  await compare(carrierId, EVERYTHING);
  expect(await verify(carrierId)).toEqual([]);
});
