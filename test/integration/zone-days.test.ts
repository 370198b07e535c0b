import { glob, readFile } from "node:fs/promises";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addDays, microsFromMs } from "../../src/domain/time/instant.ts";
import { BadRequestSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { CdrService, SummaryPeriod } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { ReconciliationService as OwnReconciliationService } from "../../src/gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
import { HoldReason } from "../../src/gen/tandem/platform/v1/hold_pb.js";
import { ReconciliationService } from "../../src/gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { PrivacyService } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { UsageService } from "../../src/gen/tandem/platform/v1/usage_service_pb.js";
import { CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { SummaryDimension } from "../../src/gen/tandem/type/v1/reconciliation_summary_pb.js";
import { systemTransaction } from "../../src/store/database/database.ts";
import { findPeriodsOf } from "../../src/store/privacy/erase-usage.ts";
import { deleteResults } from "../../src/store/privacy/retention-deletes.ts";
import { markMinutes } from "../../src/store/reconciliation/reconcile-progress.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, timestamp } from "../support/feed.ts";
import { fromNow, newRequestId, takeNumber } from "../support/numbers.ts";
import { appendCdrs, appendDurations, reconcileFully } from "../support/reconcile.ts";
import { reasonOfError, refusalOf } from "../support/refusal.ts";
import { undone } from "../support/undone.ts";

const SOURCE = join(import.meta.dirname, "../../src");

/** The last time that it was this month, day and hour, UTC. */
function lastMs(monthToMinute: string): number {
  const year = new Date().getUTCFullYear();
  const ofThisYear = Date.parse(`${year}-${monthToMinute}:00Z`);
  return ofThisYear < Date.now() - 3 * DAY_MS ? ofThisYear : Date.parse(`${year - 1}-${monthToMinute}:00Z`);
}

const DAY_MS = 86_400_000;
/**
 * Instants of which Node and PostgreSQL do not have the same day, and the day that the IANA
 * database says, from its offset then.
 */
const CASES = [
  { what: "case 1", timeZone: "CET", atMs: lastMs("08-14T22:30"), offsetH: 2 },
  { what: "case 1", timeZone: "EET", atMs: lastMs("08-14T21:30"), offsetH: 3 },
  { what: "case 1", timeZone: "MET", atMs: lastMs("08-14T22:30"), offsetH: 2 },
  { what: "case 1", timeZone: "WET", atMs: lastMs("08-14T23:30"), offsetH: 1 },
  { what: "case 36", timeZone: "Africa/Casablanca", atMs: lastMs("10-25T23:30"), offsetH: 0 },
  { what: "case 36", timeZone: "Africa/El_Aaiun", atMs: lastMs("10-25T23:30"), offsetH: 0 },
  { what: "case 36", timeZone: "America/Edmonton", atMs: lastMs("11-15T06:30"), offsetH: -6 },
  { what: "case 36", timeZone: "Europe/Copenhagen", atMs: lastMs("08-14T22:30"), offsetH: 2 },
];

function partiesOf(number: string) {
  return { parties: { calling: { kind: 1, value: number }, called: { kind: 1, value: "+12025550123" } } };
}

let exchange: Exchange;
const db = () => exchange.services.db;

beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange[Symbol.asyncDispose]());

describe.each(CASES)("$what: in $timeZone", ({ timeZone, atMs, offsetH }) => {
  const name = timeZone.toLowerCase().replaceAll(/[^a-z]/g, "-");
  const [carrierId, customerId] = [`z-${name}`, `customer-${name}`];
  const number = takeNumber();
  const day = new Date(atMs + offsetH * 3_600_000).toISOString().slice(0, 10);
  const [before, after] = [addDays(day, -1), addDays(day, 1)];
  const startMs = Date.parse(day) - offsetH * 3_600_000;
  const around = { startDate: addDays(day, -5), endDate: addDays(day, 5) };

  async function explained(): Promise<string[]> {
    const platform = await exchange.platformClient(ReconciliationService);
    const own = await exchange.carrierClient(OwnReconciliationService, carrierId);
    const target = { case: "carrierRecordId" as const, value: "d" };
    const answers = [await platform.explainCall({ carrierId, target }), await own.explainCall({ target })];
    return answers.map(({ explanations }) => explanations[0]?.result?.callDate ?? "none");
  }

  beforeAll(async () => {
    await exchange.addCarrier(carrierId, { timeZone });
    await exchange.assignNumbers(carrierId, [number], customerId);
    await appendCdrs(db(), carrierId, [call("p", partiesOf(number), atMs)]);
    await appendDurations(db(), carrierId, [
      create(CallDurationSchema, {
        recordId: "d",
        recordDate: new Date(atMs).toISOString().slice(0, 10),
        direction: 1,
        ...partiesOf(number).parties,
        answered: true,
        inviteTime: timestamp(atMs),
        answerTime: timestamp(atMs + 5_000),
        endTime: timestamp(atMs + 65_000),
        connectedDurationMs: 60_000n,
      }),
    ]);
    expect(await explained()).toEqual([day, day]);
    await reconcileFully(db(), carrierId);
  });

  test("reconciliation, and what explains a call, has it on the day that the IANA database says", async () => {
    const platform = await exchange.platformClient(ReconciliationService);
    const { rows } = await platform.getReconciliationSummary({ carrierId, ...around, groupBy: [SummaryDimension.DAY] });
    expect(rows.map((row) => row.callDate)).toEqual([day]);
    expect(await explained()).toEqual([day, day]);
  });

  test("so does what is to be judged again", async () => {
    await systemTransaction(db(), (tx) => markMinutes(tx, carrierId, [microsFromMs(atMs)], 0));
    const platform = await exchange.platformClient(ReconciliationService);
    const { statuses } = await platform.getReconciliationStatus({ carrierIds: [carrierId] });
    expect(statuses.map((status) => status.rejudgedFromDate)).toEqual([day]);
    await reconcileFully(db(), carrierId);
  });

  test("so does quality", async () => {
    const cdrs = await exchange.carrierClient(CdrService, carrierId);
    const { summaries } = await cdrs.summarizeQuality({
      startTime: timestamp(atMs - 3 * DAY_MS),
      endTime: timestamp(atMs + 3 * DAY_MS),
      period: SummaryPeriod.DAY,
    });
    expect(summaries.map(({ periodStartTime }) => periodStartTime)).toMatchObject([timestamp(startMs)]);
  });

  test("so do holds", async () => {
    const privacy = await exchange.platformClient(PrivacyService);
    const held = async (startDate: string, endDate: string) => {
      const target = { case: "period" as const, value: { startDate, endDate } };
      const about = { reason: HoldReason.LEGAL_CLAIM, caseReference: "case", owner: "legal", endTime: fromNow(DAY_MS) };
      const { hold } = await privacy.createHold({ requestId: newRequestId(), hold: { carrierId, target, ...about } });
      return hold?.heldRevisionCount;
    };
    expect([await held(before, day), await held(day, after), await held(after, addDays(after, 1))]).toEqual([
      0n,
      2n,
      0n,
    ]);
  });

  test("so do usage, closed periods, what retention keeps for them, and what an erasure reaches of them", async () => {
    const usage = await exchange.platformClient(UsageService);
    const { rows } = await usage.queryUsage({ customerId, ...around, timeZone });
    expect(rows.map(({ key }) => key?.usageDate)).toEqual([day]);
    const close = async (startDate: string, endDate: string) => {
      const asked = { requestId: newRequestId(), customerId, startDate, endDate, timeZone, maxPendingRatio: 1 };
      const { period } = await usage.closePeriod(asked);
      return period?.closedTotals?.attemptCount ?? 0n;
    };
    const kept = () =>
      undone(db(), async (tx) => {
        const now = microsFromMs(Date.now());
        const of = { arrivedBefore: now + 86_400_000_000n, now };
        await deleteResults(tx, carrierId, of, { after: undefined, limit: 100 });
        const { rows: left } = await sql`SELECT FROM call_result WHERE carrier_id = ${carrierId}`.execute(tx);
        return left.length;
      });
    expect([await close(before, day), await close(after, addDays(after, 1)), await kept()]).toEqual([0n, 0n, 0]);
    expect([await close(day, after), await kept()]).toEqual([1n, 1]);
    const reached = await systemTransaction(db(), (tx) =>
      findPeriodsOf(tx, number, { start: microsFromMs(atMs), end: microsFromMs(atMs + 1) }),
    );
    const { rows: own } = await db().pool.query<{ period_id: string }>(
      "SELECT period_id FROM usage_period WHERE customer_id = $1",
      [customerId],
    );
    const ids = new Set(own.map((row) => row.period_id));
    expect(reached.filter(({ periodId }) => ids.has(periodId))).toMatchObject([{ first: day, last: day }]);
  });
});

describe.each(["PST", "IST", "SystemV/EST5EDT", "europe/copenhagen", "+01:00", "posixrules", ""])(
  "the zone %j",
  (timeZone) => {
    const refused = (field: string) => ({ reason: "INVALID_ARGUMENT", field });

    test("is refused by all that is given one, with the field named", async () => {
      const carriers = await exchange.platformClient(CarrierService);
      const basics = { displayName: "Zone Tele", legalCountry: "DK", region: "eu", timeZone };
      const carrierId = `zone-${newRequestId().slice(0, 8)}`;
      const made = carriers.createCarrier({ requestId: newRequestId(), carrierId, carrier: basics });
      expect(await fieldOf(made)).toEqual(refused("carrier.time_zone"));
      await exchange.addCarrier(carrierId);
      const change = { carrier: { carrierId, timeZone }, updateMask: { paths: ["time_zone"] } };
      const changed = carriers.updateCarrier({ requestId: newRequestId(), ...change });
      expect(await fieldOf(changed)).toEqual(refused("carrier.time_zone"));
      const usage = await exchange.platformClient(UsageService);
      const asked = { customerId: "anyone", startDate: "2026-03-01", endDate: "2026-04-01", timeZone };
      expect(await fieldOf(usage.queryUsage(asked))).toEqual(refused("time_zone"));
      expect(await fieldOf(usage.closePeriod({ ...asked, requestId: newRequestId() }))).toEqual(refused("time_zone"));
      expect(await fieldOf(usage.exportUsage(asked))).toEqual(refused("time_zone"));
    });
  },
);

/** Why a call was refused, and the fields that its error names. */
async function fieldOf(answer: Promise<unknown> | AsyncIterable<unknown>): Promise<{ reason: string; field: string }> {
  const error = await refusalOf(answer);
  if (!error) return { reason: "OK", field: "" };
  const violations = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  return { reason: reasonOfError(error), field: violations.map(({ field }) => field).join() };
}

test("nothing else in the source tells days or zones: not PostgreSQL, not Node", async () => {
  const found: string[] = [];
  for await (const name of glob("**/*.ts", {
    cwd: SOURCE,
    exclude: ["gen/**", "store/migrations/**", "**/*.test.ts"],
  })) {
    const text = await readFile(join(SOURCE, name), "utf8");
    if (/AT TIME ZONE (?!'UTC')|date_trunc\('day'|Intl\.DateTimeFormat|toLocale(?:Date|Time)String|luxon/.test(text))
      found.push(name);
  }
  // It asks Node what a name of before meant.
  expect(found).toEqual([join("domain", "time", "time-zone.ts")]);
});

test("the days of a zone are read from rows alone: whoever moves them moves all", async () => {
  const [carrierId, customerId] = ["z-moved", "customer-moved"];
  const atMs = Math.floor(Date.now() / DAY_MS) * DAY_MS - 10 * DAY_MS - 60_000;
  const day = new Date(atMs).toISOString().slice(0, 10);
  const timeZone = "Etc/GMT";
  const number = takeNumber();
  await exchange.addCarrier(carrierId, { timeZone });
  await exchange.assignNumbers(carrierId, [number], customerId);
  await appendCdrs(db(), carrierId, [call("p", partiesOf(number), atMs)]);
  const usage = await exchange.platformClient(UsageService);
  const around = { startDate: addDays(day, -3), endDate: addDays(day, 4) };
  const usedOn = async () =>
    (await usage.queryUsage({ customerId, ...around, timeZone })).rows.map(({ key }) => key?.usageDate);
  await usedOn();
  await db().pool.query("UPDATE zone_day SET start_time = start_time - interval '1 hour' WHERE time_zone = $1", [
    timeZone,
  ]);
  await reconcileFully(db(), carrierId);
  const next = addDays(day, 1);
  expect(await usedOn()).toEqual([next]);
  const reconciliation = await exchange.platformClient(ReconciliationService);
  const { rows } = await reconciliation.getReconciliationSummary({
    carrierId,
    ...around,
    groupBy: [SummaryDimension.DAY],
  });
  expect(rows.map((row) => row.callDate)).toEqual([next]);
  const { rows: results } = await systemTransaction(db(), (tx) =>
    sql<{ call_date: string }>`SELECT call_date FROM call_result WHERE carrier_id = ${carrierId}`.execute(tx),
  );
  expect(results).toEqual([{ call_date: next }]);
});
