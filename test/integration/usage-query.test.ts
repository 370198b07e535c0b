import { timestampDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import fc from "fast-check";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { maskLastDigits } from "../../src/domain/privacy/masking.ts";
import { CARRIER_SIDE, PLATFORM_SIDE, type RecordKind } from "../../src/domain/record-kind.ts";
import { NumberService as CarrierNumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { NumberService } from "../../src/gen/tandem/platform/v1/platform_number_service_pb.js";
import { DurationSource, UsageDimension, UsagePart, type UsageRow } from "../../src/gen/tandem/platform/v1/usage_pb.js";
import { UsageService } from "../../src/gen/tandem/platform/v1/usage_service_pb.js";
import { DiscrepancyStatus } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import { ReportingState } from "../../src/gen/tandem/type/v1/reconciliation_summary_pb.js";
import { systemTransaction } from "../../src/store/database/database.ts";
import { run } from "../../src/store/database/run.ts";
import { withDays } from "../../src/store/usage/usage-periods.ts";
import { NO_FILTER, usageRelation } from "../../src/store/usage/usage-source.ts";
import { setReconciled } from "../support/call-results.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { describeOutcome, newRequestId, provisionItem, takeNumber, takeNumbers } from "../support/numbers.ts";
import { reasonOf } from "../support/refusal.ts";
import { insertRow } from "../support/rows.ts";
import { add, dayIn, describeRow, insertCalls, judgeCall, sumsOf, type UsageCall } from "../support/usage.ts";

const { DAY, NUMBER, DIRECTION, COUNTRY, CARRIER, OTHER_PARTY } = UsageDimension;

let exchange: Exchange;
let usage: Client<typeof UsageService>;

beforeAll(async () => {
  exchange = await startExchange();
  usage = await exchange.platformClient(UsageService);
  for (const carrierId of ["alpha", "beta"]) await exchange.addCarrier(carrierId);
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

const db = () => exchange.services.db;
let customers = 0;
const newCustomer = () => `customer-${++customers}`;

/** A request for March 2026 in Copenhagen. */
function march(customerId: string, more: object = {}) {
  return { customerId, startDate: "2026-03-01", endDate: "2026-04-01", timeZone: "Europe/Copenhagen", ...more };
}

async function assigned(customerId: string, carrierId = "alpha"): Promise<string> {
  const number = takeNumber();
  await exchange.assignNumbers(carrierId, [number], customerId);
  return number;
}

describe("parts", () => {
  test("agreed calls have the carrier's duration, disputed and missing ones the platform's, carrier-only ones the carrier's", async () => {
    const customerId = newCustomer();
    const number = await assigned(customerId);
    const call = (status: number, more: Partial<UsageCall> = {}): UsageCall => ({
      start: "2026-03-10T10:00:00Z",
      number,
      status,
      platformMs: 60_000n,
      carrierMs: 61_000n,
      billedS: 66n,
      ...more,
    });
    const platformOnly = { carrierMs: null, carrierAnswered: null, billedS: null };
    const unanswered = { platformMs: null, carrierMs: null, billedS: null };
    await insertCalls(db(), "alpha", [
      call(DiscrepancyStatus.MATCHED_EXACT, { carrierMs: 60_000n }),
      call(DiscrepancyStatus.WITHIN_TOLERANCE),
      call(DiscrepancyStatus.MATCHED_UNANSWERED, unanswered),
      call(DiscrepancyStatus.DURATION_MISMATCH, { carrierMs: 600_000n }),
      call(DiscrepancyStatus.ANSWER_STATE_MISMATCH, { platformAnswered: false, platformMs: null }),
      call(DiscrepancyStatus.MISSING_AT_CARRIER, platformOnly),
      call(DiscrepancyStatus.AMBIGUOUS, { side: PLATFORM_SIDE, ...platformOnly }),
      call(DiscrepancyStatus.PENDING, { side: PLATFORM_SIDE, platformMs: 5_000n, ...platformOnly }),
      call(DiscrepancyStatus.NOT_REPORTED, { side: PLATFORM_SIDE, ...platformOnly }),
      call(DiscrepancyStatus.MISSING_AT_PLATFORM, { platformMs: null, platformAnswered: null }),
    ]);
    const { rows, totals } = await usage.queryUsage(march(customerId, { groupBy: [NUMBER] }));
    expect(rows).toHaveLength(1);
    const [row] = rows;
    expect(
      row?.parts.map(({ usagePart, durationSource, totals: sums }) => [usagePart, durationSource, sumsOf(sums)]),
    ).toEqual([
      [UsagePart.AGREED, DurationSource.CARRIER, [3n, 2n, 121_000n, 2n, 132n]],
      [UsagePart.DISPUTED, DurationSource.PLATFORM, [2n, 1n, 60_000n, 1n, 66n]],
      [UsagePart.UNCONFIRMED, DurationSource.PLATFORM, [2n, 2n, 120_000n, 0n, 0n]],
      [UsagePart.PENDING, DurationSource.PLATFORM, [1n, 1n, 5_000n, 0n, 0n]],
      [UsagePart.NOT_REPORTED, DurationSource.PLATFORM, [1n, 1n, 60_000n, 0n, 0n]],
      [UsagePart.CARRIER_ONLY, DurationSource.CARRIER, [1n, 1n, 61_000n, 1n, 66n]],
    ]);
    expect(sumsOf(row?.totals)).toEqual([10n, 8n, 427_000n, 4n, 264n]);
    expect(sumsOf(totals)).toEqual(sumsOf(row?.totals));
    expect(row?.pendingRatio).toBe(0.1);
  });
});

describe("every grouping", () => {
  test("a total is the sum of its parts, and every grouping adds up to the same, whatever the calls", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyCall(), { maxLength: 60 }),
        anyPeriod(),
        async (drawn, { timeZone, startDate, endDate }) => {
          const customerId = newCustomer();
          const numbers = takeNumbers(3);
          await exchange.assignNumbers("alpha", numbers.slice(0, 2), customerId);
          await exchange.assignNumbers("alpha", numbers.slice(2), `${customerId}-other`);
          const calls = drawn.map(({ index, ...call }) => ({ ...call, number: numbers[index] ?? "" }));
          await insertCalls(
            db(),
            "alpha",
            calls.filter((_, index) => index % 3 > 0),
          );
          // Nobody but the history says whose a call is: these went through a carrier that does not
          // hold the number any more.
          await insertCalls(
            db(),
            "beta",
            calls.filter((_, index) => index % 3 === 0),
          );
          const own = calls
            .map((call, index) => ({ ...call, carrierId: index % 3 === 0 ? "beta" : "alpha" }))
            .filter((call) => {
              const day = dayIn(call.start, timeZone);
              return call.number !== numbers[2] && day >= startDate && day < endDate;
            });
          for (const groupBy of [
            [DAY],
            [NUMBER, DIRECTION],
            [CARRIER, COUNTRY],
            [OTHER_PARTY],
            [OTHER_PARTY, DAY, NUMBER, DIRECTION, COUNTRY, CARRIER],
          ]) {
            const request = { customerId, startDate, endDate, timeZone, groupBy };
            const { rows, totals } = await readAll(request);
            for (const row of rows)
              expect(sumsOf(row.totals)).toEqual(row.parts.map((part) => sumsOf(part.totals)).reduce(add, NOTHING));
            expect(sumsOf(totals)).toEqual(rows.map((row) => sumsOf(row.totals)).reduce(add, NOTHING));
            expect(figuresOf(rows)).toEqual(expectedFigures(own, groupBy, timeZone));
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  test("pages follow each other without gap or repeat, in the order of the dimensions, absent values first", async () => {
    const customerId = newCustomer();
    const number = await assigned(customerId);
    const others = [null, "112", "+4533112233", "+4533112234", "+15552823123"];
    await insertCalls(
      db(),
      "alpha",
      others.flatMap((other) =>
        [1, 2].map((direction) => ({
          start: "2026-03-10T10:00:00Z",
          number,
          status: 1,
          other,
          direction,
          country: other?.startsWith("+45") ? "DK" : null,
        })),
      ),
    );
    for (const groupBy of [
      [OTHER_PARTY, DIRECTION],
      [DIRECTION, COUNTRY],
      [COUNTRY, OTHER_PARTY],
    ]) {
      const whole = await usage.queryUsage(march(customerId, { groupBy, pageSize: 1_000 }));
      const paged = await readAll(march(customerId, { groupBy, pageSize: 3 }));
      expect(paged.rows.map(describeRow)).toEqual(whole.rows.map(describeRow));
      expect(paged.rows.map(describeRow)).toHaveLength(
        groupBy.includes(OTHER_PARTY) && groupBy.includes(DIRECTION) ? 10 : whole.rows.length,
      );
    }
    const { rows } = await usage.queryUsage(march(customerId, { groupBy: [OTHER_PARTY] }));
    expect(rows.map(({ key }) => key?.otherPartyNumber)).toEqual([
      undefined,
      "+15552823123",
      "+4533112233",
      "+4533112234",
      "112",
    ]);
    expect(
      await reasonOf(
        usage.queryUsage(
          march(customerId, {
            groupBy: [DAY],
            pageToken: (await usage.queryUsage(march(customerId, { groupBy: [OTHER_PARTY], pageSize: 1 })))
              .nextPageToken,
          }),
        ),
      ),
    ).toBe("PAGE_TOKEN_INVALID");
  });

  test("only what is asked for is counted: numbers, a direction, countries", async () => {
    const customerId = newCustomer();
    const [one = "", two = ""] = takeNumbers(2);
    await exchange.assignNumbers("alpha", [one, two], customerId);
    await insertCalls(db(), "alpha", [
      { start: "2026-03-10T10:00:00Z", number: one, status: 1, direction: 1, country: "DK" },
      { start: "2026-03-10T10:00:00Z", number: one, status: 1, direction: 2, country: null },
      { start: "2026-03-10T10:00:00Z", number: two, status: 1, direction: 1, country: "US" },
    ]);
    const count = async (more: object) =>
      Number((await usage.queryUsage(march(customerId, more))).totals?.attemptCount);
    expect(await count({})).toBe(3);
    expect(await count({ phoneNumbers: [one] })).toBe(2);
    expect(await count({ direction: 1 })).toBe(2);
    expect(await count({ countryCodes: ["DK", "US"] })).toBe(2);
    expect(await count({ phoneNumbers: [one], direction: 1, countryCodes: ["US"] })).toBe(0);
    expect(await count({ startDate: "2026-03-11" })).toBe(0);
  });
});

describe("days", () => {
  test.each([
    ["Europe/Copenhagen", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", "2026-03-29", 23],
    ["Europe/Copenhagen", "2025-10-25T22:00:00Z", "2025-10-26T23:00:00Z", "2025-10-26", 25],
    ["America/Chicago", "2026-03-08T06:00:00Z", "2026-03-09T05:00:00Z", "2026-03-08", 23],
    ["America/Chicago", "2025-11-02T05:00:00Z", "2025-11-03T06:00:00Z", "2025-11-02", 25],
    // Its clocks go back at midnight, so that the day before has two evenings.
    ["America/Asuncion", "2024-03-23T03:00:00Z", "2024-03-24T04:00:00Z", "2024-03-23", 25],
  ])("in %s the day from %s to %s is %s, of %i hours", async (timeZone, first, next, day, hours) => {
    const customerId = newCustomer();
    const number = await assigned(customerId);
    const at = (iso: string, ms: number) => new Date(Date.parse(iso) + ms).toISOString();
    const starts = Array.from({ length: hours }, (_, hour) => at(first, hour * 3_600_000));
    expect(at(first, hours * 3_600_000)).toBe(at(next, 0));
    await insertCalls(
      db(),
      "alpha",
      [at(first, -1), ...starts, at(next, -1), at(next, 0)].map((start) => ({ start, number, status: 1 })),
    );
    const next5 = new Date(Date.parse(day) + 5 * 86_400_000).toISOString().slice(0, 10);
    const before5 = new Date(Date.parse(day) - 5 * 86_400_000).toISOString().slice(0, 10);
    const { rows } = await usage.queryUsage({
      customerId,
      startDate: before5,
      endDate: next5,
      timeZone,
      groupBy: [DAY],
    });
    expect(rows.map(({ key, totals }) => [key?.usageDate, totals?.attemptCount])).toEqual([
      [dayIn(at(first, -1), timeZone), 1n],
      [day, BigInt(hours) + 1n],
      [dayIn(next, timeZone), 1n],
    ]);
    const alone = { customerId, startDate: day, endDate: dayIn(next, timeZone), timeZone };
    expect((await usage.queryUsage(alone)).totals?.attemptCount).toBe(BigInt(hours) + 1n);
  });
});

describe("whose a call is", () => {
  test("goes by the history as it stands now: assignments corrected for the past, and ports", async () => {
    const [number, ported] = [takeNumber(), takeNumber()];
    const [first, second] = [newCustomer(), newCustomer()];
    const dayMs = 86_400_000;
    const startMs = Math.floor(Date.now() / dayMs) * dayMs - 10 * dayMs;
    const on = (day: number) => timestampFromMs(startMs + day * dayMs);
    const carrier = await exchange.carrierClient(CarrierNumberService, "alpha");
    const numbers = await exchange.platformClient(NumberService);
    await carrier.provisionNumbers({
      requestId: newRequestId(),
      items: [number, ported].map((phoneNumber) => provisionItem(phoneNumber, { effectiveTime: on(0) })),
    });
    const assign = async (phoneNumber: string, customerId: string, day: number) => {
      const item = { phoneNumber, customerId, assigneeKind: 1, effectiveTime: on(day) };
      const { outcomes } = await numbers.assignNumbers({
        requestId: newRequestId(),
        carrierId: "alpha",
        items: [item],
      });
      expect(outcomes.map(describeOutcome)).toEqual(["ASSIGNED"]);
    };
    await assign(number, first, 0);
    await assign(ported, first, 0);
    const starts = [1, 3, 5, 7].map((day) => new Date(startMs + (day + 0.5) * dayMs).toISOString());
    // As attributed when they came: to the first customer, whatever happens later.
    await insertCalls(
      db(),
      "alpha",
      starts.flatMap((start) =>
        [number, ported].map((of) => ({ start, number: of, status: 1, more: { customer_id: first } })),
      ),
    );
    const count = async (customerId: string, phoneNumber: string) => {
      const period = { startDate: utcDay(startMs), endDate: utcDay(startMs + 10 * dayMs), timeZone: "UTC" };
      const { totals } = await usage.queryUsage({ customerId, ...period, phoneNumbers: [phoneNumber] });
      return Number(totals?.attemptCount);
    };
    expect([await count(first, number), await count(second, number)]).toEqual([4, 0]);

    await numbers.unassignNumbers({
      requestId: newRequestId(),
      carrierId: "alpha",
      phoneNumbers: [number],
      effectiveTime: on(2),
    });
    expect([await count(first, number), await count(second, number)]).toEqual([1, 0]);
    await assign(number, second, 4);
    expect([await count(first, number), await count(second, number)]).toEqual([1, 2]);

    await numbers.portNumbers({
      requestId: newRequestId(),
      carrierId: "alpha",
      toCarrierId: "beta",
      phoneNumbers: [ported],
      effectiveTime: on(6),
    });
    await insertCalls(db(), "beta", [{ start: starts[3] ?? "", number: ported, status: 1 }]);
    await expect.poll(() => count(first, ported)).toBe(5);
    const { rows, completeness } = await usage.queryUsage({
      customerId: first,
      startDate: utcDay(startMs),
      endDate: utcDay(startMs + 10 * dayMs),
      timeZone: "UTC",
      groupBy: [CARRIER],
      phoneNumbers: [ported],
    });
    expect(rows.map(({ key, totals }) => [key?.carrierId, totals?.attemptCount])).toEqual([
      ["alpha", 4n],
      ["beta", 1n],
    ]);
    expect(completeness?.carriers.map(({ carrierId }) => carrierId)).toEqual(["alpha", "beta"]);
  });

  test("between the two carriers of a port, a call is still the customer's", async () => {
    const customerId = newCustomer();
    const number = await assigned(customerId);
    await insertCalls(db(), "alpha", [{ start: "2026-03-10T10:00:00Z", number, status: 1 }]);
    const micros = (iso: string) => String(Date.parse(iso) * 1_000);
    const moved = [{ start: micros("2026-03-05T00:00:00Z"), end: "253402300799999999", assignment: { customerId } }];
    // As a port leaves it whose process was killed after the losing carrier's half.
    await systemTransaction(db(), async (tx) => {
      await run(tx)`UPDATE number_holding SET end_time = '2026-03-05T00:00:00Z' WHERE phone_number = ${number}`;
      await insertRow(tx, "number_port", {
        carrier_id: "alpha",
        phone_number: number,
        port_id: crypto.randomUUID(),
        role: 1,
        other_carrier_id: "beta",
        effective_time: "2026-03-05T00:00:00Z",
        stage: 2,
        moved: JSON.stringify(moved),
      });
    });
    expect((await usage.queryUsage(march(customerId))).totals?.attemptCount).toBe(1n);
  });
});

describe("the other party", () => {
  test("is masked unless the credential may see it, and told apart by a key that is no number", async () => {
    const customerId = newCustomer();
    const number = await assigned(customerId);
    const others = ["+15552823111", "+15552823222", "112", "1881", "33445566", "sip:user 12-34", null];
    await insertCalls(
      db(),
      "alpha",
      others.map((other) => ({ start: "2026-03-10T10:00:00Z", number, status: 1, other })),
    );
    const token = await exchange.platformToken(["usage.read"]);
    const masking = createClient(UsageService, await exchange.platformTransport({ token }));
    const request = march(customerId, { groupBy: [OTHER_PARTY] });
    const masked = await masking.queryUsage(request);
    const whole = await usage.queryUsage(request);
    const shown = masked.rows.map(({ key }) => key?.otherPartyNumber);
    expect(shown).toEqual([undefined, "+15552823***", "+15552823***", "112", "1881", "33445***", "sip:user 1*-**"]);
    for (const other of ["+15552823111", "33445566", "sip:user 12-34"]) expect(shown).toContain(maskLastDigits(other));
    expect(whole.rows.map(({ key }) => key?.otherPartyNumber)).toEqual([
      undefined,
      ...others.filter((other) => other !== null).toSorted(),
    ]);
    const keys = (rows: readonly UsageRow[]) =>
      rows.flatMap(({ key }) => (key?.otherPartyKey === undefined ? [] : [key.otherPartyKey]));
    expect(keys(masked.rows).toSorted()).toEqual(keys(whole.rows).toSorted());
    expect(new Set(keys(whole.rows)).size).toBe(6);
    for (const key of keys(whole.rows)) expect(key).toMatch(/^[A-Za-z0-9_-]{22}$/);
    const other = newCustomer();
    await insertCalls(db(), "alpha", [
      { start: "2026-03-10T10:00:00Z", number: await assigned(other), status: 1, other: "112" },
    ]);
    const [foreign] = (await usage.queryUsage(march(other, { groupBy: [OTHER_PARTY] }))).rows;
    expect(keys(whole.rows)).not.toContain(foreign?.key?.otherPartyKey);

    const paged = await masking.queryUsage({ ...request, pageSize: 2 });
    expect(Buffer.from(paged.nextPageToken, "base64url").toString("latin1")).not.toMatch(/282311|282322/);
    expect(await reasonOf(usage.queryUsage({ ...request, pageSize: 2, pageToken: paged.nextPageToken }))).toBe(
      "PAGE_TOKEN_INVALID",
    );
  });
});

describe("completeness", () => {
  test("names what is pending, who does not report, and how far each carrier is reconciled", async () => {
    const customerId = newCustomer();
    for (const carrierId of ["silent", "inbound", "partly", "idle", "waiting"]) await exchange.addCarrier(carrierId);
    const numbers = new Map<string, string>();
    for (const carrierId of ["alpha", "silent", "inbound", "partly", "idle", "waiting"])
      numbers.set(carrierId, await assigned(customerId, carrierId));
    await setReconciled(db(), "silent", { reconciled_through: "2026-03-20T00:00:00Z" });
    const calls = (carrierId: string, ...statuses: [day: number, status: number, direction?: number][]) =>
      insertCalls(
        db(),
        carrierId,
        statuses.map(([day, status, direction = 1]) => ({
          start: `2026-03-${day}T10:00:00Z`,
          number: numbers.get(carrierId) ?? "",
          status,
          direction,
        })),
      );
    await calls(
      "alpha",
      [10, DiscrepancyStatus.MATCHED_EXACT],
      [10, DiscrepancyStatus.MISSING_AT_CARRIER],
      [11, DiscrepancyStatus.WITHIN_TOLERANCE],
    );
    await calls("silent", [10, DiscrepancyStatus.MISSING_AT_CARRIER], [11, DiscrepancyStatus.PENDING]);
    await calls("inbound", [10, DiscrepancyStatus.NOT_REPORTED, 2]);
    await calls("partly", [10, DiscrepancyStatus.MATCHED_EXACT], [10, DiscrepancyStatus.NOT_REPORTED, 2]);
    await calls("waiting", [10, DiscrepancyStatus.PENDING]);
    const { completeness, totals } = await usage.queryUsage(march(customerId));
    expect(totals?.attemptCount).toBe(9n);
    expect(completeness?.pendingRatio).toBeCloseTo(2 / 9);
    expect(completeness?.notReportedRatio).toBeCloseTo(2 / 9);
    expect(
      completeness?.carriers.map(({ carrierId, reportingState, pendingTotals }) => [
        carrierId,
        ReportingState[reportingState],
        pendingTotals?.attemptCount,
      ]),
    ).toEqual([
      ["alpha", "REPORTED", 0n],
      ["idle", "UNSPECIFIED", 0n],
      ["inbound", "OUT_OF_SCOPE", 0n],
      ["partly", "PARTLY_REPORTED", 0n],
      ["silent", "SILENT", 1n],
      ["waiting", "UNSPECIFIED", 1n],
    ]);
    const times = completeness?.carriers.map(
      ({ reconciledThroughTime }) => reconciledThroughTime && timestampDate(reconciledThroughTime).toISOString(),
    );
    expect(times).toEqual([undefined, undefined, undefined, undefined, "2026-03-20T00:00:00.000Z", undefined]);
  });

  test("a customer without numbers or calls has no rows and nothing pending", async () => {
    const answer = await usage.queryUsage(march("nobody"));
    expect(answer).toMatchObject({ rows: [], nextPageToken: "", completeness: { carriers: [] } });
    expect(sumsOf(answer.totals)).toEqual([0n, 0n, 0n, 0n, 0n]);
    expect(answer.completeness?.pendingRatio).toBeUndefined();
  });
});

test("a customer's calls are looked up by number, whatever the statistics say of the others", async () => {
  const [customerId, number] = [newCustomer(), takeNumber()];
  await exchange.assignNumbers("alpha", [number], customerId);
  const others = takeNumbers(200);
  await insertCalls(
    db(),
    "alpha",
    Array.from({ length: 8_000 }, (_, index) => ({
      start: new Date(Date.parse("2026-03-01T00:00:00Z") + index * 300_000).toISOString(),
      number: others[index % 200] ?? "",
      status: 1,
    })),
  );
  await db().pool.query("ANALYZE call_result");
  const period = { customerId, startDate: "2026-03-01", endDate: "2026-04-01", timeZone: "Europe/Copenhagen" };
  const { rows } = await systemTransaction(db(), async (tx) =>
    sql<Record<string, string>>`EXPLAIN ${usageRelation(await withDays(tx, period), NO_FILTER)}`.execute(tx),
  );
  const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
  expect(plan).toContain("call_result_number");
  expect(plan).not.toMatch(/Seq Scan on call_result|call_result_start/);
});

test("what makes no sense is refused, with the fields named", async () => {
  const wrong: [object, string][] = [
    [{ customerId: "" }, "INVALID_ARGUMENT"],
    [{ startDate: "2026-02-30" }, "INVALID_ARGUMENT"],
    [{ startDate: "2026-04-01" }, "INVALID_ARGUMENT"],
    [{ endDate: "2026-06-02" }, "LIST_WINDOW_TOO_LARGE"],
    [{ endDate: "2026-06-01" }, "OK"],
    [{ timeZone: "Mars/Olympus" }, "INVALID_ARGUMENT"],
    [{ timeZone: "+02:00" }, "INVALID_ARGUMENT"],
    [{ timeZone: "CET" }, "OK"],
    [{ groupBy: [DAY, DAY] }, "INVALID_ARGUMENT"],
    [{ groupBy: [0] }, "INVALID_ARGUMENT"],
    [{ groupBy: [7] }, "INVALID_ARGUMENT"],
    [{ phoneNumbers: ["4533112233"] }, "INVALID_ARGUMENT"],
    [{ phoneNumbers: Array.from({ length: 101 }, () => "+4533112233") }, "INVALID_ARGUMENT"],
    [{ countryCodes: ["dk"] }, "INVALID_ARGUMENT"],
    [{ direction: 3 }, "INVALID_ARGUMENT"],
    [{ pageSize: -1 }, "INVALID_ARGUMENT"],
    [{ pageToken: "x" }, "PAGE_TOKEN_INVALID"],
  ];
  for (const [more, reason] of wrong)
    expect([more, await reasonOf(usage.queryUsage(march("nobody", more)))]).toEqual([more, reason]);
});

const NOTHING = [0n, 0n, 0n, 0n, 0n];
type DrawnCall = Required<Omit<UsageCall, "more" | "number">> & { index: number };
type OwnCall = Required<Omit<UsageCall, "more">> & { carrierId: string };

function anyPeriod() {
  return fc.constantFrom(
    { timeZone: "Europe/Copenhagen", startDate: "2026-03-28", endDate: "2026-03-31" },
    { timeZone: "America/Chicago", startDate: "2026-03-28", endDate: "2026-03-30" },
    { timeZone: "Pacific/Kiritimati", startDate: "2026-03-29", endDate: "2026-03-31" },
  );
}

function anyCall(): fc.Arbitrary<DrawnCall> {
  const length = fc.option(fc.bigInt({ min: 0n, max: 9_000_000n }), { nil: null });
  return fc
    .record({
      index: fc.nat({ max: 2 }),
      start: fc
        .integer({ min: Date.parse("2026-03-27T06:00:00Z"), max: Date.parse("2026-03-31T18:00:00Z") })
        .map((ms) => new Date(ms).toISOString()),
      status: fc.integer({ min: 1, max: 13 }),
      side: fc.constantFrom<RecordKind["side"]>(PLATFORM_SIDE, CARRIER_SIDE),
      merged: fc.constantFrom(false, false, false, true),
      direction: fc.constantFrom(1, 2),
      country: fc.constantFrom("DK", "US", null),
      other: fc.constantFrom("+4533112233", "+4533112999", "112", null),
      platformAnswered: fc.boolean(),
      carrierAnswered: fc.boolean(),
      platformMs: length,
      carrierMs: length,
      billedS: fc.option(fc.bigInt({ min: 0n, max: 9_000n }), { nil: null }),
    })
    .map((call) => ({ ...call, side: sideOf(call) }));
}

// What the reconciler never writes: a pair without the platform's record, a carrier's call with
// one.
function sideOf({ status, side }: { status: number; side: RecordKind["side"] }): RecordKind["side"] {
  if (status <= 6 || status === 9) return 1;
  return status <= 8 ? 2 : side;
}

function figuresOf(rows: readonly UsageRow[]): Record<string, bigint[]> {
  return Object.fromEntries(
    rows.flatMap(({ key, parts }) =>
      parts.map(({ usagePart, totals }) => [
        [
          key?.usageDate,
          key?.phoneNumber,
          key?.direction || undefined,
          key?.countryCode,
          key?.carrierId,
          key?.otherPartyNumber,
          usagePart,
        ].join("|"),
        sumsOf(totals),
      ]),
    ),
  );
}

function expectedFigures(
  calls: readonly OwnCall[],
  groupBy: readonly number[],
  timeZone: string,
): Record<string, bigint[]> {
  const figures: Record<string, bigint[]> = {};
  for (const call of calls) {
    const judged = judgeCall(call);
    if (!judged) continue;
    const by = (dimension: number, value: unknown) => (groupBy.includes(dimension) ? (value ?? undefined) : undefined);
    const name = [
      by(DAY, dayIn(call.start, timeZone)),
      by(NUMBER, call.number),
      by(DIRECTION, call.direction),
      by(COUNTRY, call.country),
      by(CARRIER, call.carrierId),
      by(OTHER_PARTY, call.other),
      judged.part,
    ].join("|");
    figures[name] = add(figures[name] ?? NOTHING, judged.sums);
  }
  return figures;
}

async function readAll(request: Parameters<typeof usage.queryUsage>[0]) {
  const rows: UsageRow[] = [];
  let pageToken = "";
  for (;;) {
    const page = await usage.queryUsage({ ...request, pageToken });
    rows.push(...page.rows);
    pageToken = page.nextPageToken;
    if (pageToken === "") return { rows, totals: page.totals };
  }
}

function utcDay(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
