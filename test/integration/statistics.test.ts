import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { microsFromMs } from "../../src/domain/instant.ts";
import { RULE_VERSION } from "../../src/domain/matching/result.ts";
import { restateUsage } from "../../src/jobs/restate-usage.ts";
import { reconcileSlice } from "../../src/reconcile/reconcile-carrier.ts";
import { encodeRestatement } from "../../src/rpc/usage-message.ts";
import { readCdrPage } from "../../src/store/cdrs.ts";
import { carrierTransaction, systemTransaction } from "../../src/store/database.ts";
import { sweepClaims } from "../../src/store/number-owners.ts";
import { listCarriersToReconcile, listSetAside, settleIdleCarriers } from "../../src/store/reconcile-progress.ts";
import { verifyCarrier } from "../../src/store/verify.ts";
import { erase } from "../support/erasure.ts";
import { callEverything } from "../support/every-request.ts";
import type { Exchange } from "../support/exchange.ts";
import { ingest } from "../support/feed.ts";
import { listSenders, PlanRecorder, type StatementCost, sketch } from "../support/plans.ts";
import { appendDurations, reconcileFully } from "../support/reconcile.ts";
import { retain } from "../support/retention.ts";
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
import { OUT_OF_THE_WAY, UNHEARD } from "../support/unheard-statements.ts";
import { eventually } from "../support/upload-store.ts";

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

beforeAll(async () => {
  exchange = await startStatisticsWorld();
  await addNeighbours(exchange, (carrier) => ingest(exchange.app, carrier.carrierId, carrier.cdrs));
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
    costs.set(state, await recorder.during(() => live(carrier, () => STATES[state](exchange))));
  }
}, 600_000);

/**
 * All that a carrier meets: it comes, its calls are told by both sides and judged, every method is
 * called, and every job runs.
 */
async function live(carrier: WorldCarrier, gather: () => Promise<void>): Promise<void> {
  const { db } = exchange.app.services;
  const { carrierId } = carrier;
  await gather();
  await addNumbers(exchange, carrier);
  await ingest(exchange.app, carrierId, carrier.cdrs);
  await appendDurations(db, carrierId, carrier.durations.slice(0, -1));
  // An erasure at the carrier before this one looks at every carrier, and has the lease meanwhile.
  const nowMs = Date.now() + 48 * 3_600_000;
  await eventually(async () => void (await reconcileFully(db, carrierId, { nowMs })), 120_000);
  // The counterpart of a call that lacked one comes, and is judged in more than one turn of the
  // carrier.
  await appendDurations(db, carrierId, carrier.durations.slice(-1));
  const options = { db, carrierId, holder: "test", signal: new AbortController().signal, now: microsFromMs(nowMs) };
  await eventually(async () => {
    if (!(await reconcileSlice(options, { steps: 1, ms: 60_000 }))) throw new Error("held");
    await reconcileFully(db, carrierId, { nowMs });
  }, 120_000);
  await gather();
  await callEverything(exchange, carrier);
  await runJobs(carrierId);
  await retain(db);
  await erase(exchange, carrier.numbers[3] ?? "");
  await verifyCarrier(db, carrierId, new AbortController().signal);
}

async function runJobs(carrierId: string): Promise<void> {
  const { db } = exchange.app.services;
  const onError = (error: unknown) => {
    throw error;
  };
  await restateUsage({ db, encode: encodeRestatement, onError }, carrierId, 0n, new AbortController().signal);
  await systemTransaction(db, (tx) => sweepClaims(tx, "", 60));
  await systemTransaction(db, (tx) => listCarriersToReconcile(tx, RULE_VERSION, 10));
  await systemTransaction(db, (tx) => settleIdleCarriers(tx, RULE_VERSION, 0));
  await systemTransaction(db, (tx) => listSetAside(tx, 10));
}

describe.each(["are of before the carrier came", "were never gathered"] as const)("while statistics %s", (state) => {
  test("no statement of the store reads more than with new ones", () => {
    const fresh = Map.groupBy(costs.get("are new") ?? [], ({ text }) => text);
    const worse: string[] = [];
    for (const [text, runs] of Map.groupBy(costs.get(state) ?? [], (cost) => cost.text)) {
      const worst = mostRows(runs);
      const best = mostRows(fresh.get(text) ?? []);
      if (worst && best && worst.rows > FACTOR * best.rows + ROWS_MORE)
        worse.push(`${worst.by.slice(0, 2).join(" < ")}: ${worst.rows} rows, not ${best.rows}\n${sketch(worst.plan)}`);
    }
    expect(worse).toEqual([]);
  });

  test("a page of a carrier's feed reads its own entries, at the end as at the start", async () => {
    const carrierId = state === "were never gathered" ? "new-2" : "new-1";
    const read = (after: bigint) =>
      recorder.during(() =>
        carrierTransaction(exchange.app.services.db, carrierId, (tx) =>
          readCdrPage(tx, {
            carrierId,
            after: { sequence: after, ingestTime: 0n },
            until: undefined,
            limit: 100,
            conditions: undefined,
            withNetwork: true,
          }),
        ),
      );
    const [start, end] = [await read(0n), await read(BigInt(CALLS - 100))].map((heard) =>
      heard.find(({ by }) => by[0] === "cdrs.ts/readCdrPage"),
    );
    expect(start?.returned).toBe(100);
    expect(end?.returned).toBe(100);
    expect(end?.rows).toBeLessThanOrEqual(1.5 * (start?.rows ?? 0));
    // Each row passes some steps of the plan, with its quality and network parts.
    expect(end?.rows).toBeLessThan(100 * 25);
  });
});

test("every function of the store that sends a statement is heard, but for those that are listed", () => {
  const heard = new Set([...costs.values()].flatMap((runs) => runs.flatMap(({ by }) => by)));
  const isListed = (sender: string) =>
    UNHEARD.includes(sender) || OUT_OF_THE_WAY.includes(sender.slice(0, sender.indexOf("/")));
  expect([...listSenders()].filter((sender) => !heard.has(sender) && !isListed(sender))).toEqual([]);
});

function mostRows(runs: readonly StatementCost[]): StatementCost | undefined {
  return runs.toSorted((left, right) => right.rows - left.rows)[0];
}
