import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RULE_VERSION } from "../../src/domain/matching/result.ts";
import { microsFromMs } from "../../src/domain/time/instant.ts";
import { restateUsage } from "../../src/jobs/restate-usage.ts";
import { type ReconcileOptions, reconcileSlice } from "../../src/reconcile/reconcile-carrier.ts";
import { encodeRestatement } from "../../src/rpc/usage/message.ts";
import { carrierTransaction, LIST_PAGE, systemTransaction } from "../../src/store/database/database.ts";
import { withLease } from "../../src/store/database/job-lease.ts";
import { readNumberSnapshotPage } from "../../src/store/numbers/number-feed.ts";
import { sweepClaims } from "../../src/store/numbers/number-owners.ts";
import { listDiscrepancies } from "../../src/store/reconciliation/discrepancies.ts";
import {
  listCarriersToReconcile,
  listSetAside,
  readIdleRest,
  settleIdleCarriers,
} from "../../src/store/reconciliation/reconcile-progress.ts";
import { readSummarySource } from "../../src/store/reconciliation/summary-source.ts";
import { RECONCILE_JOB } from "../../src/store/reconciliation/turn-leases.ts";
import { scanCdrs } from "../../src/store/records/cdr-lists.ts";
import { readCdrPage } from "../../src/store/records/cdrs.ts";
import { listDurations } from "../../src/store/records/durations.ts";
import { keepSums } from "../../src/store/usage/sum-upkeep.ts";
import { insertMarks } from "../../src/store/usage/usage-marks.ts";
import { verifyCarrier } from "../../src/store/verify/verify.ts";
import { emptySums } from "../support/call-results.ts";
import { CLUSTER_DEBTS } from "../support/cluster-debts.ts";
import { brokenRules } from "../support/cluster-rules.ts";
import { erase } from "../support/erasure.ts";
import { eventually } from "../support/eventually.ts";
import { callEverything } from "../support/every-request.ts";
import type { Exchange } from "../support/exchange.ts";
import { ingest } from "../support/feed.ts";
import { isSortedPage, listSenders, PlanRecorder, type StatementCost, sketch } from "../support/plans.ts";
import { appendDurations, reconcileFully } from "../support/reconcile.ts";
import { retain } from "../support/retention.ts";
import { changeNumbers, correctRecords, passRetention, restate, splitCalls } from "../support/statistics-life.ts";
import { callTheRest } from "../support/statistics-rest.ts";
import {
  addNeighbours,
  addNumbers,
  analyzeAll,
  CALLS,
  forgetStatistics,
  startStatisticsWorld,
  type WorldCarrier,
  worldCarrier,
} from "../support/statistics-world.ts";
import { OUT_OF_THE_WAY, SORTED } from "../support/unheard-statements.ts";

// The planner goes by statistics that may be of another day: by them a carrier that has come since
// has no rows, and to read all of them costs nothing. So everything that a carrier meets is run
// three times: with statistics of before it came, with none at all, and with new ones. What counts
// is what each statement read, and not how long it took.

/**
 * How much more a statement may read than with new statistics: a look-up in another order, or the
 * rows of a carrier more.
 */
const FACTOR = 1.5;
const ROWS_MORE = 150;

/** What is known of the database while a carrier lives in it. */
const STATES = {
  "are of before the carrier came": async () => {},
  "were never gathered": forgetStatistics,
  "are new": analyzeAll,
} as const;
type State = keyof typeof STATES;

let exchange: Exchange;
const recorder = new PlanRecorder();
const costs = new Map<State, StatementCost[]>();
/** What single pages cost, which are measured apart. */
const FEED_PAGE = 100;
const LIST_PAGE_SIZE = 20;
const feedPages = new Map<State, Record<"start" | "end", StatementCost | undefined>>();
const listPages = new Map<State, Record<string, StatementCost | undefined>>();

beforeAll(async () => {
  exchange = await startStatisticsWorld();
  await addNeighbours(exchange, (carrier) => ingest(exchange, carrier.carrierId, carrier.cdrs));
  await analyzeAll(exchange);
});
afterAll(async () => {
  recorder[Symbol.dispose]();
  await exchange[Symbol.asyncDispose]();
});

// The tests behind this one judge what it has heard.
test("all that a carrier meets is carried out, whatever is known of it", async () => {
  for (const [index, state] of (Object.keys(STATES) as State[]).entries()) {
    const carrier = worldCarrier(`new-${index + 1}`, index + 1);
    costs.set(state, await recorder.during(() => live(carrier, state), carrier.carrierId));
  }
});

/** While another process has the carrier, this one looks for minutes to match beside it. */
async function helpAnother(options: ReconcileOptions): Promise<void> {
  const request = { carrierId: options.carrierId, job: RECONCILE_JOB, holder: "another", ttlS: 60 };
  const isHeld = await withLease(options.db, request, async () => {
    await reconcileSlice(options, { steps: 1, ms: 60_000 });
    return true;
  });
  if (!isHeld) throw new Error("held");
}

/**
 * All that a carrier meets: it comes, its calls are told by both sides and judged, every method is
 * called, and every job runs.
 */
async function live(carrier: WorldCarrier, state: State): Promise<void> {
  const gather = () => STATES[state](exchange);
  const { db } = exchange.services;
  const { carrierId } = carrier;
  await gather();
  await addNumbers(exchange, carrier);
  await ingest(exchange, carrierId, carrier.cdrs);
  await appendDurations(db, carrierId, carrier.durations.slice(0, -1));
  // An erasure at the carrier before this one looks at every carrier, and has the lease meanwhile.
  const nowMs = Date.now() + 48 * 3_600_000;
  await eventually(async () => void (await reconcileFully(db, carrierId, { nowMs })));
  // The counterpart of a call that lacked one comes, and is judged in more than one turn of the
  // carrier.
  await appendDurations(db, carrierId, carrier.durations.slice(-1));
  const options = { db, carrierId, holder: "test", signal: new AbortController().signal, now: microsFromMs(nowMs) };
  await eventually(async () => {
    if (!(await reconcileSlice(options, { steps: 1, ms: 60_000 }))) throw new Error("held");
    await reconcileFully(db, carrierId, { nowMs });
  });
  await eventually(() => helpAnother(options));
  await gather();
  await measurePages(carrierId, state);
  await callEverything(exchange, carrier);
  await changeNumbers(exchange, carrier);
  await splitCalls(exchange, carrier);
  await correctRecords(exchange, carrier);
  await restate(exchange, carrier);
  await shortenMark(carrier);
  await runJobs(carrierId);
  await callTheRest(exchange, carrier);
  await retain(db);
  await erase(exchange, carrier.numbers[3] ?? "");
  await verifyCarrier(db, carrierId, new AbortController().signal);
  await passRetention(exchange, carrier);
}

/**
 * What a page of the feed costs at its start and at its end, and the first page of each list of all
 * that there is.
 */
async function measurePages(carrierId: string, state: State): Promise<void> {
  const { db } = exchange.services;
  const cost = async (sender: string, read: Parameters<typeof carrierTransaction>[2], options = {}) => {
    const heard = await recorder.within(() => carrierTransaction(db, carrierId, read, options));
    return heard.find(({ by }) => by[0] === sender);
  };
  // A reader knows when what it was sent last was ingested.
  const ingestTimeOf = async (sequence: number) => {
    const { rows } = await db.pool.query<{ ingest_time: bigint }>(
      "SELECT ingest_time FROM cdr_record WHERE carrier_id = $1 AND sequence = $2",
      [carrierId, sequence],
    );
    return rows[0]?.ingest_time ?? 0n;
  };
  const feed = async (sequence: number) => {
    const after = { sequence: BigInt(sequence), ingestTime: await ingestTimeOf(sequence) };
    const page = { carrierId, after, until: undefined, limit: FEED_PAGE };
    return cost("feed-page.ts/readFeedPage", async (tx) => {
      const { entries } = await readCdrPage(tx, page, { conditions: undefined, withNetwork: true });
      expect(entries).toHaveLength(FEED_PAGE);
    });
  };
  feedPages.set(state, { start: await feed(0), end: await feed(CALLS - FEED_PAGE) });
  const [start, end] = [microsFromMs(Date.now() - 20 * 86_400_000), microsFromMs(Date.now())];
  const days = { startDate: "2000-01-01", endDate: "2100-01-01", conditions: undefined };
  const limit = LIST_PAGE_SIZE;
  const list = (sender: string, read: Parameters<typeof carrierTransaction>[2]) => cost(sender, read, LIST_PAGE);
  const search = { start, end, recordId: undefined, after: undefined, limit };
  listPages.set(state, {
    cdrs: await list("cdr-lists.ts/listKept", (tx) =>
      scanCdrs(tx, carrierId, { period: { start, end } }, { limit }, true),
    ),
    durations: await list("durations.ts/read", (tx) => listDurations(tx, carrierId, search)),
    discrepancies: await list("discrepancies.ts/listDiscrepancies", (tx) =>
      listDiscrepancies(tx, carrierId, days, { after: 0n, limit }),
    ),
    numbers: await list("number-feed.ts/scanNumbers", (tx) =>
      readNumberSnapshotPage(tx, { carrierId, afterNumber: "", limit, filter: undefined }),
    ),
  });
}

/** A number has more calls than one step moves. */
async function shortenMark({ carrierId, numbers }: WorldCarrier): Promise<void> {
  const marks = numbers.map((phoneNumber) => ({ phoneNumber, startTime: 0n, endTime: microsFromMs(Date.now()) }));
  await systemTransaction(exchange.services.db, async (tx) => {
    await emptySums(tx, carrierId);
    while (await keepSums(tx, carrierId));
    await insertMarks(tx, carrierId, marks);
    await keepSums(tx, carrierId, 1);
    const scope = { directions: [1], unanswered: false, emergency: false, startTime: microsFromMs(Date.now()) };
    const days = { startDate: "2026-01-01", endDate: "2027-01-01" };
    await readSummarySource(tx, { carrierId, ...days, graceMs: 0n, reportingScopes: [scope] });
  });
}

async function runJobs(carrierId: string): Promise<void> {
  const { db } = exchange.services;
  const onError = (error: unknown) => {
    throw error;
  };
  await restateUsage({ db, encode: encodeRestatement, onError }, carrierId, 0n, new AbortController().signal);
  await systemTransaction(db, (tx) => sweepClaims(tx, "", 60));
  await systemTransaction(db, (tx) => listCarriersToReconcile(tx, RULE_VERSION, 10));
  await systemTransaction(db, (tx) => settleIdleCarriers(tx, RULE_VERSION, 0));
  await systemTransaction(db, (tx) => listSetAside(tx, 10));
  await systemTransaction(db, (tx) => readIdleRest(tx, 15));
}

describe.each(["are of before the carrier came", "were never gathered"] as const)("while statistics %s", (state) => {
  test("no statement of the store reads more than with new ones", () => {
    const fresh = Map.groupBy(costs.get("are new") ?? [], ({ text }) => text);
    const worse: string[] = [];
    for (const [text, runs] of Map.groupBy(costs.get(state) ?? [], (cost) => cost.text)) {
      const worst = mostRows(runs);
      const best = mostRows(fresh.get(text) ?? []);
      if (worst && best && best.rows > 0 && worst.rows > FACTOR * best.rows * timesMore(worst, best) + ROWS_MORE)
        worse.push(`${worst.by.slice(0, 2).join(" < ")}: ${worst.rows} rows, not ${best.rows}\n${sketch(worst.plan)}`);
    }
    expect(worse).toEqual([]);
  });

  test("a page of a carrier's feed reads its own entries, at the end as at the start", () => {
    const { start, end } = feedPages.get(state) ?? {};
    // All of its entries come in one row.
    expect(start?.returned).toBe(1);
    expect(end?.returned).toBe(1);
    expect(end?.rows).toBeLessThanOrEqual(1.5 * (start?.rows ?? 0));
    // Each row passes some steps of the plan, with its quality and network parts.
    expect(end?.rows).toBeLessThan(FEED_PAGE * 25);
  });

  test("a page of a list of all that a carrier has reads as many rows as it gives", () => {
    for (const [list, cost] of Object.entries(listPages.get(state) ?? {})) {
      expect(cost?.returned, list).toBe(LIST_PAGE_SIZE);
      expect(cost?.rows, list).toBeLessThan(LIST_PAGE_SIZE * 25);
    }
    expect(Object.keys(listPages.get(state) ?? {})).toHaveLength(4);
  });

  test("no page is made by sorting what a table has, but where that is little", () => {
    const sorted = (costs.get(state) ?? []).filter(({ plan }) => isSortedPage(plan)).map(({ by }) => by[0] ?? "");
    expect([...new Set(sorted)].filter((sender) => !(sender in SORTED))).toEqual([]);
  });
});

describe("a cluster", () => {
  test.each(Object.entries(CLUSTER_DEBTS))("is asked for no %s, but where that is listed", (rule, debts) => {
    const listed = Object.values(debts).flat();
    const heard = [...costs.values()].flat();
    const isBroken = ({ text }: StatementCost) => brokenRules(text).some((broken) => broken === rule);
    const breaking = new Set(heard.filter(isBroken).map(({ by }) => by[0] ?? ""));
    expect([...breaking].filter((sender) => !listed.includes(sender))).toEqual([]);
    const sending = new Set(heard.map(({ by }) => by[0] ?? ""));
    // What keeps the rule by now leaves the list.
    expect(listed.filter((sender) => sending.has(sender) && !breaking.has(sender))).toEqual([]);
  });
});

test("every function of the store that sends a statement is heard, but for those that are listed", () => {
  const heard = new Set([...costs.values()].flatMap((runs) => runs.flatMap(({ by }) => by)));
  const isListed = (sender: string) => OUT_OF_THE_WAY.includes(sender.slice(0, sender.indexOf("/")));
  expect([...listSenders()].filter((sender) => !heard.has(sender) && !isListed(sender))).toEqual([]);
});

// How many times as much it gave: what has changed since a time depends on how fast the machine
// was.
function timesMore(worst: StatementCost, best: StatementCost): number {
  return Math.max(1, worst.returned / Math.max(1, best.returned));
}

function mostRows(runs: readonly StatementCost[]): StatementCost | undefined {
  return runs.toSorted((left, right) => right.rows - left.rows)[0];
}
