import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { NumberService as CarrierNumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { NumberService } from "../../src/gen/tandem/platform/v1/platform_number_service_pb.js";
import {
  type Restatement,
  RestatementCause,
  UsageDimension,
  UsagePart,
} from "../../src/gen/tandem/platform/v1/usage_pb.js";
import { UsageService } from "../../src/gen/tandem/platform/v1/usage_service_pb.js";
import { DiscrepancyStatus } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import { restateUsage } from "../../src/jobs/restate-usage.ts";
import { encodeRestatement } from "../../src/rpc/usage/message.ts";
import { systemTransaction } from "../../src/store/database/database.ts";
import { run } from "../../src/store/database/run.ts";
import { setReconciled } from "../support/call-results.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { newRequestId, provisionItem, takeNumber } from "../support/numbers.ts";
import { reasonOf, refusalOf } from "../support/refusal.ts";
import { changeCall, describeRow, insertCalls, sumsOf, type UsageCall } from "../support/usage.ts";

const DAY_MS = 86_400_000;
const { DAY, NUMBER, COUNTRY, OTHER_PARTY } = UsageDimension;
/** Ten days that ended some days ago, as periods have them. */
const dayOf = (ms: number) => new Date(ms).toISOString().slice(0, 10);
const START_MS = Math.floor(Date.now() / DAY_MS) * DAY_MS - 20 * DAY_MS;
const END_MS = START_MS + 10 * DAY_MS;
const WITHIN = new Date(START_MS + DAY_MS / 2).toISOString();

let exchange: Exchange;
let usage: Client<typeof UsageService>;

beforeAll(async () => {
  exchange = await startExchange();
  usage = await exchange.platformClient(UsageService);
  await exchange.addCarrier("alpha");
  await exchange.addCarrier("beta");
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

const db = () => exchange.services.db;
let customers = 0;

/** A customer with a number at alpha. */
async function newCustomer(): Promise<{ customerId: string; number: string }> {
  const customerId = `customer-${++customers}`;
  const number = takeNumber();
  await exchange.assignNumbers("alpha", [number], customerId);
  return { customerId, number };
}

function days(customerId: string, more: object = {}) {
  return { customerId, startDate: dayOf(START_MS), endDate: dayOf(END_MS), timeZone: "Europe/Copenhagen", ...more };
}

function call(number: string, recordId: string, more: Partial<UsageCall> = {}): UsageCall {
  return {
    start: WITHIN,
    number,
    status: DiscrepancyStatus.MATCHED_EXACT,
    country: "DK",
    ...more,
    more: { record_id: recordId, ...more.more },
  };
}

async function close(customerId: string, more: object = {}) {
  const { period } = await usage.closePeriod({ requestId: newRequestId(), ...days(customerId), ...more });
  if (!period) throw new Error("no period");
  return period;
}

/** Lets the job work once, and gives the period's restatements. */
async function restate(customerId: string, more: { recheckAgeS?: number } = {}): Promise<Restatement[]> {
  const options = { ...OPTIONS, db: db(), ...more };
  // The app's own job may hold the lease for a moment.
  await expect.poll(() => restateUsage(options, "test", undefined, new AbortController().signal)).toBeDefined();
  return (await usage.listRestatements({ customerId })).restatements;
}

function describeRestatement({ restatementNumber, cause, lines, oldTotals, newTotals }: Restatement) {
  return {
    number: restatementNumber,
    cause: RestatementCause[cause],
    lines: lines.map(({ oldTotals: before, newTotals: after }) => [
      sumsOf(before).slice(0, 3),
      sumsOf(after).slice(0, 3),
    ]),
    records: lines.flatMap(({ records }) =>
      records.map(({ side, record }) => `${side}:${record?.recordId}:${record?.revision}`),
    ),
    totals: [sumsOf(oldTotals).slice(0, 3), sumsOf(newTotals).slice(0, 3)],
  };
}

const OPTIONS = {
  encode: encodeRestatement,
  onError: (error: unknown) => {
    throw error;
  },
};
const justNow = () => new Date().toISOString();
const late = () => ({ arrival_time: justNow(), update_time: justNow() });

describe("ClosePeriod", () => {
  test("fixes the figures, says how complete they are, and answers a repeat with the same", async () => {
    const { customerId, number } = await newCustomer();
    await insertCalls(db(), "alpha", [
      call(number, `${customerId}-1`),
      call(number, `${customerId}-2`, { direction: 2 }),
    ]);
    const request = { requestId: newRequestId(), ...days(customerId) };
    const { period } = await usage.closePeriod(request);
    expect(period).toMatchObject({
      ...days(customerId),
      restatementNumber: 0,
      closedBy: "jwt:tandem:platform",
    });
    expect(sumsOf(period?.closedTotals)).toEqual([2n, 2n, 120_000n, 0n, 0n]);
    expect(sumsOf(period?.currentTotals)).toEqual(sumsOf(period?.closedTotals));
    expect(period?.completeness).toMatchObject({
      pendingRatio: 0,
      notReportedRatio: 0,
      carriers: [{ carrierId: "alpha", reportingState: 1 }],
    });
    expect(await usage.closePeriod(request)).toEqual({ $typeName: "tandem.platform.v1.ClosePeriodResponse", period });
    expect(await reasonOf(usage.closePeriod({ ...request, maxPendingRatio: 0.5 }))).toBe("REQUEST_ID_REUSED");
    const { periods, restatements } = await usage.listRestatements({ customerId });
    expect(periods).toEqual([period]);
    expect(restatements).toEqual([]);
  });

  test("refuses a period that overlaps another, also at its edges in another time zone, and takes one that follows", async () => {
    const { customerId } = await newCustomer();
    const { periodId } = await close(customerId);
    const overlapping = [
      {},
      { startDate: dayOf(END_MS - DAY_MS), endDate: dayOf(END_MS + DAY_MS) },
      { startDate: dayOf(START_MS - DAY_MS), endDate: dayOf(START_MS + DAY_MS) },
      // Auckland's day begins while it is still the day before in Copenhagen.
      { startDate: dayOf(END_MS), endDate: dayOf(END_MS + DAY_MS), timeZone: "Pacific/Auckland" },
    ];
    for (const more of overlapping) {
      const error = await refusalOf(close(customerId, more));
      expect(error?.findDetails(ErrorInfoSchema)).toMatchObject([
        { reason: "PERIOD_ALREADY_CLOSED", metadata: { period_id: periodId } },
      ]);
    }
    await close(customerId, { startDate: dayOf(END_MS), endDate: dayOf(END_MS + DAY_MS) });
    await close(customerId, { startDate: dayOf(START_MS - DAY_MS), endDate: dayOf(START_MS) });
    const { periods } = await usage.listRestatements({ customerId });
    expect(periods.map(({ startDate }) => startDate)).toEqual([START_MS - DAY_MS, START_MS, END_MS].map(dayOf));
  });

  test("closes a period once when many try at the same moment", async () => {
    const { customerId } = await newCustomer();
    const reasons = await Promise.all(Array.from({ length: 8 }, () => reasonOf(close(customerId))));
    expect(reasons.toSorted()).toEqual(["OK", ...Array.from({ length: 7 }, () => "PERIOD_ALREADY_CLOSED")]);
    expect((await usage.listRestatements({ customerId })).periods).toHaveLength(1);
  });

  test("refuses a period that is not over, and one of which too much is pending", async () => {
    const { customerId, number } = await newCustomer();
    const today = Math.floor(Date.now() / DAY_MS) * DAY_MS;
    const notOver = await refusalOf(close(customerId, { endDate: dayOf(today + 2 * DAY_MS) }));
    expect(notOver?.findDetails(ErrorInfoSchema)).toMatchObject([
      { reason: "PERIOD_NOT_COMPLETE", metadata: { end_date: dayOf(today + 2 * DAY_MS), pending_ratio: "0" } },
    ]);
    await insertCalls(db(), "alpha", [
      call(number, `${customerId}-1`),
      call(number, `${customerId}-2`, { status: DiscrepancyStatus.PENDING }),
      call(number, `${customerId}-3`),
      call(number, `${customerId}-4`),
    ]);
    const pending = await refusalOf(close(customerId, { maxPendingRatio: 0.2 }));
    expect(pending?.findDetails(ErrorInfoSchema)).toMatchObject([
      { reason: "PERIOD_NOT_COMPLETE", metadata: { pending_ratio: "0.25" } },
    ]);
    const period = await close(customerId, { maxPendingRatio: 0.25 });
    expect(period.completeness?.pendingRatio).toBe(0.25);
    for (const more of [
      { maxPendingRatio: 1.5 },
      { maxPendingRatio: Number.NaN },
      { requestId: "" },
      { timeZone: "+01:00" },
      { timeZone: "" },
      { startDate: "2026-02-30" },
      { endDate: dayOf(START_MS) },
      { customerId: "a b" },
    ])
      expect(await reasonOf(close(customerId, more))).toBe("INVALID_ARGUMENT");
    expect(await reasonOf(close(customerId, { startDate: dayOf(START_MS - 90 * DAY_MS) }))).toBe(
      "LIST_WINDOW_TOO_LARGE",
    );
  });
});

describe("restatements", () => {
  test("a late record, a correction and a void each make a numbered restatement that names the records, and nothing else does", async () => {
    const { customerId, number } = await newCustomer();
    const id = (name: string) => `${customerId}-${name}`;
    await insertCalls(db(), "alpha", [
      call(number, id("1")),
      call(number, id("2"), { status: DiscrepancyStatus.DURATION_MISMATCH, carrierMs: 600_000n, country: "SE" }),
      call(number, id("3"), { country: "US" }),
      call(number, id("4"), { country: "NO", status: DiscrepancyStatus.PENDING }),
    ]);
    const period = await close(customerId, { maxPendingRatio: 1 });
    expect(await restate(customerId)).toEqual([]);

    await insertCalls(db(), "alpha", [
      call(number, id("late"), { country: "FI", platformMs: 30_000n, carrierMs: 30_000n, more: late() }),
    ]);
    expect((await restate(customerId)).map(describeRestatement)).toEqual([
      {
        number: 1,
        cause: "LATE_RECORD",
        lines: [
          [
            [0n, 0n, 0n],
            [1n, 1n, 30_000n],
          ],
        ],
        records: [`1:${id("late")}:1`, expect.stringMatching(/^2:duration-\d+:1$/)],
        totals: [
          [4n, 4n, 240_000n],
          [5n, 5n, 270_000n],
        ],
      },
    ]);
    expect(await restate(customerId)).toHaveLength(1);

    // The carrier mends its record, the platform takes one of its own back, and the pending call is
    // judged: found in one turn.
    const carrierRevision = {
      carrier_revisions: [2],
      carrier_record_ids: [id("d")],
      carrier_record_dates: [dayOf(START_MS)],
    };
    await changeCall(db(), "alpha", id("2"), {
      status: DiscrepancyStatus.MATCHED_EXACT,
      carrier_ms: 59_000n,
      arrival_time: justNow(),
      ...carrierRevision,
    });
    await changeCall(db(), "alpha", id("3"), {
      status: DiscrepancyStatus.VOIDED,
      revision: 2,
      arrival_time: justNow(),
    });
    await changeCall(db(), "alpha", id("4"), { status: DiscrepancyStatus.MISSING_AT_CARRIER });
    const found = (await restate(customerId)).map(describeRestatement).slice(1);
    expect(found).toEqual([
      {
        number: 2,
        cause: "CORRECTION",
        lines: [
          [
            [1n, 1n, 60_000n],
            [1n, 1n, 59_000n],
          ],
        ],
        records: [`1:${id("2")}:1`, `2:${id("d")}:2`],
        totals: [
          [5n, 5n, 270_000n],
          [5n, 5n, 269_000n],
        ],
      },
      {
        number: 3,
        cause: "VOID",
        lines: [
          [
            [1n, 1n, 60_000n],
            [0n, 0n, 0n],
          ],
        ],
        records: [`1:${id("3")}:2`, expect.anything()],
        totals: [
          [5n, 5n, 269_000n],
          [4n, 4n, 209_000n],
        ],
      },
      {
        number: 4,
        cause: "RECONCILED",
        lines: [
          [
            [1n, 1n, 60_000n],
            [1n, 1n, 60_000n],
          ],
        ],
        records: [`1:${id("4")}:1`],
        totals: [
          [4n, 4n, 209_000n],
          [4n, 4n, 209_000n],
        ],
      },
    ]);
    expect(await restate(customerId)).toHaveLength(4);
    const [now] = (await usage.listRestatements({ customerId, periodId: period.periodId })).periods;
    expect(now).toMatchObject({ restatementNumber: 4 });
    expect(sumsOf(now?.closedTotals).slice(0, 3)).toEqual([4n, 4n, 240_000n]);
    expect(sumsOf(now?.currentTotals).slice(0, 3)).toEqual([4n, 4n, 209_000n]);
    const live = await usage.queryUsage(days(customerId));
    expect(sumsOf(live.totals)).toEqual(sumsOf(now?.currentTotals));
  });

  test("a call that is moved to another day takes its seconds from one line to another", async () => {
    const { customerId, number } = await newCustomer();
    const id = `${customerId}-1`;
    await insertCalls(db(), "alpha", [call(number, id)]);
    await close(customerId);
    const later = new Date(START_MS + 3 * DAY_MS).toISOString();
    await changeCall(db(), "alpha", id, { start_time: later, revision: 2, arrival_time: justNow() });
    const [restatement, ...others] = await restate(customerId);
    expect(others).toEqual([]);
    expect(restatement?.lines.map(({ key }) => key?.usageDate)).toEqual([
      dayOf(START_MS),
      dayOf(START_MS + 3 * DAY_MS),
    ]);
    expect(describeRestatement(restatement as Restatement)).toMatchObject({
      cause: "CORRECTION",
      totals: [
        [1n, 1n, 60_000n],
        [1n, 1n, 60_000n],
      ],
    });
  });

  test("a row that is gone is found by the comparison of whole lines", async () => {
    const { customerId, number } = await newCustomer();
    const id = `${customerId}-1`;
    await insertCalls(db(), "alpha", [call(number, id), call(number, `${id}-kept`)]);
    await close(customerId);
    await systemTransaction(db(), (tx) => run(tx)`DELETE FROM call_result WHERE record_id = ${id}`);
    await changeCall(db(), "alpha", `${id}-kept`, { arrival_time: justNow(), carrier_revisions: [3] });
    expect((await restate(customerId)).map(describeRestatement)).toMatchObject([
      {
        cause: "CORRECTION",
        totals: [
          [2n, 2n, 120_000n],
          [1n, 1n, 60_000n],
        ],
      },
    ]);
  });

  test("a row that is gone without a trace is found when the whole period is compared, once a day", async () => {
    const { customerId, number } = await newCustomer();
    const id = `${customerId}-1`;
    await insertCalls(db(), "alpha", [call(number, id)]);
    await close(customerId);
    await systemTransaction(db(), (tx) => run(tx)`DELETE FROM call_result WHERE record_id = ${id}`);
    expect(await restate(customerId)).toEqual([]);
    expect((await restate(customerId, { recheckAgeS: 0 })).map(describeRestatement)).toMatchObject([
      {
        cause: "RECONCILED",
        records: [],
        totals: [
          [1n, 1n, 60_000n],
          [0n, 0n, 0n],
        ],
      },
    ]);
  });

  test("processes that compare at the same moment restate a change once", async () => {
    const { customerId, number } = await newCustomer();
    await close(customerId);
    await insertCalls(db(), "alpha", [call(number, `${customerId}-1`, { more: late() })]);
    const turns = Array.from({ length: 4 }, (_, index) =>
      restateUsage({ ...OPTIONS, db: db() }, `process-${index}`, undefined, new AbortController().signal),
    );
    await Promise.all(turns);
    expect((await restate(customerId)).map(({ restatementNumber }) => restatementNumber)).toEqual([1]);
  });

  test("a number that is given to another customer for the past moves the calls of both, and no record is to blame", async () => {
    const number = takeNumber();
    const since = timestampFromMs(START_MS - DAY_MS);
    const carrier = await exchange.carrierClient(CarrierNumberService, "alpha");
    const numbers = await exchange.platformClient(NumberService);
    const item = provisionItem(number, { effectiveTime: since });
    await carrier.provisionNumbers({ requestId: newRequestId(), items: [item] });
    const [before = "", after = ""] = [`customer-${++customers}`, `customer-${++customers}`];
    const assign = (customerId: string, effectiveTime: typeof since) =>
      numbers.assignNumbers({
        requestId: newRequestId(),
        carrierId: "alpha",
        items: [{ phoneNumber: number, customerId, assigneeKind: 1, effectiveTime }],
      });
    await assign(before, since);
    await insertCalls(db(), "alpha", [
      call(number, `${before}-1`),
      call(number, `${before}-2`, { start: new Date(START_MS + 5 * DAY_MS).toISOString() }),
    ]);
    await close(before);
    await close(after);
    const handover = timestampFromMs(START_MS + 3 * DAY_MS);
    await numbers.unassignNumbers({
      requestId: newRequestId(),
      carrierId: "alpha",
      phoneNumbers: [number],
      effectiveTime: handover,
    });
    await assign(after, handover);
    expect((await restate(before)).map(describeRestatement)).toMatchObject([
      {
        cause: "NUMBER_HISTORY",
        records: [],
        totals: [
          [2n, 2n, 120_000n],
          [1n, 1n, 60_000n],
        ],
      },
    ]);
    expect((await restate(after)).map(describeRestatement)).toMatchObject([
      {
        cause: "NUMBER_HISTORY",
        records: [],
        totals: [
          [0n, 0n, 0n],
          [1n, 1n, 60_000n],
        ],
      },
    ]);
  });

  test("what changes with a new agreement is a change of rules, but a call that was pending has been judged", async () => {
    const { customerId, number } = await newCustomer();
    const id = (name: string) => `${customerId}-${name}`;
    await setReconciled(db(), "alpha", {
      agreement_revision: 1n,
      reconciled_through: new Date(END_MS + DAY_MS).toISOString(),
    });
    await insertCalls(db(), "alpha", [
      call(number, id("1"), { status: DiscrepancyStatus.DURATION_MISMATCH, carrierMs: 63_000n }),
      call(number, id("2"), { status: DiscrepancyStatus.PENDING, country: "SE" }),
    ]);
    await close(customerId, { maxPendingRatio: 1 });
    await setReconciled(db(), "alpha", {
      agreement_revision: 2n,
      reconciled_through: new Date(END_MS + DAY_MS).toISOString(),
    });
    await changeCall(db(), "alpha", id("1"), { status: DiscrepancyStatus.WITHIN_TOLERANCE });
    await changeCall(db(), "alpha", id("2"), { status: DiscrepancyStatus.MISSING_AT_CARRIER });
    expect((await restate(customerId)).map(describeRestatement)).toMatchObject([
      { number: 1, cause: "RECONCILED", records: [`1:${id("2")}:1`] },
      {
        number: 2,
        cause: "RULE_CHANGE",
        totals: [
          [2n, 2n, 120_000n],
          [2n, 2n, 123_000n],
        ],
      },
    ]);
  });

  test("a change of more than 1,000 lines is several restatements, listed page by page", async () => {
    const { customerId, number } = await newCustomer();
    const period = await close(customerId);
    const countries = Array.from({ length: 150 }, (_, index) =>
      String.fromCharCode(65 + Math.floor(index / 26), 65 + (index % 26)),
    );
    const calls = Array.from({ length: 1_200 }, (_, index) =>
      call(number, `${customerId}-${index}`, {
        start: new Date(START_MS + Math.floor(index / 150) * DAY_MS + DAY_MS / 2).toISOString(),
        country: countries[index % 150] ?? null,
        more: late(),
      }),
    );
    await insertCalls(db(), "alpha", calls);
    await restate(customerId);
    const first = await usage.listRestatements({ customerId, pageSize: 1 });
    const second = await usage.listRestatements({ customerId, pageSize: 1, pageToken: first.nextPageToken });
    expect([first, second].map(({ restatements: [one] }) => [one?.restatementNumber, one?.lines.length])).toEqual([
      [1, 1_000],
      [2, 200],
    ]);
    expect([first.periods.length, second.periods, second.nextPageToken]).toEqual([1, [], ""]);
    expect(second.restatements[0]?.oldTotals).toEqual(first.restatements[0]?.newTotals);
    expect(
      await reasonOf(usage.listRestatements({ customerId, periodId: period.periodId, pageToken: first.nextPageToken })),
    ).toBe("PAGE_TOKEN_INVALID");
    const recordTime = first.restatements[0]?.recordTime;
    expect(
      (await usage.listRestatements({ customerId, ...(recordTime ? { endTime: recordTime } : {}) })).restatements,
    ).toEqual([]);
    expect(
      (await usage.listRestatements({ customerId, ...(recordTime ? { startTime: recordTime } : {}) })).restatements,
    ).toHaveLength(2);
    expect(await reasonOf(usage.listRestatements({ customerId: "other", periodId: period.periodId }))).toBe(
      "PERIOD_NOT_FOUND",
    );
  });
});

describe("as_of", () => {
  test("shows the figures as they were closed, after each restatement, and as they are now", async () => {
    const { customerId, number } = await newCustomer();
    const id = (name: string) => `${customerId}-${name}`;
    await insertCalls(db(), "alpha", [
      call(number, id("1")),
      call(number, id("2"), { status: DiscrepancyStatus.PENDING }),
    ]);
    const beforeMs = Date.now();
    const period = await close(customerId, { maxPendingRatio: 1 });
    const closedTime = period.closeTime;
    await changeCall(db(), "alpha", id("2"), {
      status: 1,
      carrier_answered: true,
      carrier_ms: 60_000n,
      arrival_time: justNow(),
    });
    await restate(customerId);
    await insertCalls(db(), "alpha", [call(number, id("3"), { more: late() })]);
    await restate(customerId);
    const day = dayOf(START_MS);
    const rows = async (more: object) =>
      (await usage.queryUsage(days(customerId, { groupBy: [DAY, COUNTRY], ...more }))).rows.map(describeRow);
    const version = (restatementNumber: number) => ({
      asOf: { case: "asOfVersion", value: { periodId: period.periodId, restatementNumber } } as const,
    });
    const time = (value: unknown) => ({ asOf: { case: "asOfTime", value } as const });
    expect(await rows(version(0))).toEqual([`${day} DK ${UsagePart.AGREED}:1/1/60000 ${UsagePart.PENDING}:1/1/60000`]);
    expect(await rows(version(1))).toEqual([`${day} DK ${UsagePart.AGREED}:2/2/120000`]);
    expect(await rows(version(2))).toEqual([`${day} DK ${UsagePart.AGREED}:3/3/180000`]);
    expect(await rows(time(closedTime))).toEqual(await rows(version(0)));
    const { restatements } = await usage.listRestatements({ customerId });
    expect(await rows(time(restatements[0]?.recordTime))).toEqual(await rows(version(1)));
    expect(await rows(time(timestampFromMs(Date.now() - 1)))).toEqual(await rows({}));
    expect(await rows({ ...version(0), phoneNumbers: [takeNumber()] })).toEqual([]);
    expect((await usage.queryUsage(days(customerId, version(0)))).completeness?.pendingRatio).toBe(0.5);

    // Days of no closed period are shown as they are now.
    await insertCalls(db(), "alpha", [call(number, id("4"), { start: new Date(END_MS + DAY_MS / 2).toISOString() })]);
    expect(await rows({ ...time(closedTime), endDate: dayOf(END_MS + DAY_MS) })).toEqual([
      ...(await rows(version(0))),
      `${dayOf(END_MS)} DK 1:1/1/60000`,
    ]);

    for (const more of [
      time(timestampFromMs(beforeMs - 60_000)),
      time(timestampFromMs(Date.now() + 60_000)),
      version(3),
      version(-1),
      { ...version(0), timeZone: "UTC" },
      { ...time(closedTime), timeZone: "UTC" },
      { ...version(0), endDate: dayOf(END_MS + DAY_MS) },
      { ...version(0), startDate: dayOf(START_MS - DAY_MS) },
      { ...version(0), groupBy: [NUMBER, OTHER_PARTY] },
    ])
      expect(await reasonOf(usage.queryUsage(days(customerId, more)))).toBe("INVALID_ARGUMENT");
    const unknown = { asOf: { case: "asOfVersion", value: { periodId: "none", restatementNumber: 0 } } as const };
    expect(await reasonOf(usage.queryUsage(days(customerId, unknown)))).toBe("PERIOD_NOT_FOUND");
    expect(await reasonOf(usage.queryUsage(days("other", version(0))))).toBe("PERIOD_NOT_FOUND");
  });
});
