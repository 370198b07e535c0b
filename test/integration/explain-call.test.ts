import { afterAll, beforeAll, expect, test } from "vitest";
import { addDays } from "../../src/domain/instant.ts";
import { ReconciliationService } from "../../src/gen/tandem/platform/v1/reconciliation_service_pb.js";
import type { CallResultRow } from "../../src/store/call-results.ts";
import { addCarrier, assignNumbers } from "../support/carriers.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { NUMBER, timestamp } from "../support/feed.ts";
import { cdr, duration } from "../support/minute-calls.ts";
import { appendCdrs, appendDurations, readAllResults, reconcileFully } from "../support/reconcile.ts";
import { addWorldCarrier, deliveriesOf, recentWorld } from "../support/reconciliation-world.ts";
import { reasonOf } from "../support/refusal.ts";

const CARRIER = "explained";
const world = recentWorld({ seed: "explain", callCount: 1_500, correlatedShare: 0.5 });
let exchange: Exchange;
let rows: CallResultRow[];

beforeAll(async () => {
  exchange = await startExchange({ synchronousCommit: "off" });
  const { db } = exchange.app.services;
  await addWorldCarrier(db, CARRIER, world);
  for (const delivery of deliveriesOf(world)) await delivery.run(db, CARRIER);
  await reconcileFully(db, CARRIER, { nowMs: world.nowMs });
  rows = (await readAllResults(db, CARRIER)).filter((row) => !row.isMerged);
});
afterAll(() => exchange[Symbol.asyncDispose]());

// The clock of the server is past every grace but those of the freshest calls, which may have run out since.
const SETTLED = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13];

test("explains a call of every status as it was judged, with both records and a sentence for each step", async () => {
  const client = await exchange.platformClient(ReconciliationService);
  for (const status of SETTLED) {
    const row = rows.find((each) => each.status === status);
    if (!row) continue;
    const target =
      row.side === 1
        ? { case: "platformRecordId" as const, value: row.recordId }
        : { case: "carrierRecordId" as const, value: row.recordId };
    const { explanations } = await client.explainCall({ carrierId: CARRIER, target, recordDate: row.recordDate });
    const [explained] = explanations;
    expect(explained?.result).toMatchObject({ status, discrepancyId: row.discrepancyId ?? "" });
    expect(explained?.platformRecord?.recordId).toBe(row.side === 1 ? row.recordId : undefined);
    expect(explained?.carrierRecords.map(({ recordId }) => recordId)).toEqual(
      row.carrierRecords.map(({ recordId }) => recordId),
    );
    expect(explained?.steps.length).toBeGreaterThan(0);
    for (const step of explained?.steps ?? []) expect(step.explanation).toMatch(/^[A-Z].*\.$/);
  }
});

test("a discrepancy is explained by its own id, and a call's legs by the call's id at every carrier", async () => {
  const client = await exchange.platformClient(ReconciliationService);
  const row = rows.find((each) => each.side === 1 && each.discrepancyId !== null && each.callId !== null);
  const byDiscrepancy = await client.explainCall({
    carrierId: CARRIER,
    target: { case: "discrepancyId", value: row?.discrepancyId ?? "" },
  });
  expect(byDiscrepancy.explanations[0]?.platformRecord?.recordId).toBe(row?.recordId);
  const byCall = await client.explainCall({ target: { case: "callId", value: row?.callId ?? "" } });
  expect(byCall.explanations.map(({ platformRecord }) => platformRecord?.recordId)).toContain(row?.recordId);
});

test("numbers of other parties are masked for a credential that may not see them, the customer's own are not, whichever side has the call", async () => {
  const token = await exchange.platformToken(["reconciliation.read"]);
  for (const [side, status] of [
    [1, 1],
    [2, 7],
  ]) {
    const row = rows.find((each) => each.side === side && each.status === status && each.otherNumber !== null);
    const response = await fetch(`${exchange.app.url}/tandem.platform.v1.ReconciliationService/ExplainCall`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      body: JSON.stringify({
        carrierId: CARRIER,
        [side === 1 ? "platformRecordId" : "carrierRecordId"]: row?.recordId,
      }),
    });
    const text = await response.text();
    expect(response.status).toBe(200);
    expect(text).toContain(row?.phoneNumber);
    expect(text).not.toContain(row?.otherNumber);
  }
});

test("an id that nobody has, a missing carrier and a wrong day are refused by name", async () => {
  const client = await exchange.platformClient(ReconciliationService);
  const target = { case: "platformRecordId" as const, value: "nobody-has-this" };
  const explain = (request: Parameters<typeof client.explainCall>[0]) => reasonOf(client.explainCall(request));
  expect(await explain({ carrierId: CARRIER, target })).toBe("RECORD_NOT_FOUND");
  expect(await explain({ target })).toBe("INVALID_ARGUMENT");
  expect(await explain({ carrierId: CARRIER, target, recordDate: "soon" })).toBe("INVALID_ARGUMENT");
  expect(await explain({ carrierId: CARRIER })).toBe("INVALID_ARGUMENT");
});

test("whichever record of a split call is asked for, the result in force is explained, with all of its parts (case 39)", async () => {
  const { db } = exchange.app.services;
  const client = await exchange.platformClient(ReconciliationService);
  const HOUR_MS = 3_600_000;
  const start = Date.parse(`${addDays(new Date().toISOString().slice(0, 10), -2)}T06:00:00Z`);
  const cases = {
    "of one dialog": { dialog: "d", connectedMs: 3 * HOUR_MS },
    "without ids": { connectedMs: 3 * HOUR_MS },
    "with a part missing": { connectedMs: 4 * HOUR_MS },
  };
  for (const [told, { connectedMs, ...ids }] of Object.entries(cases)) {
    const carrierId = `split-${told.replaceAll(" ", "-")}`;
    await addCarrier(db, carrierId, { graceMs: 0n });
    await assignNumbers(db, carrierId, [NUMBER], "customer-1");
    const whole = cdr("p1", start, ids);
    if (whole.times) Object.assign(whole.times, { endTime: timestamp(start + 5_000 + connectedMs) });
    await appendCdrs(db, carrierId, [whole]);
    const parts = [0, 1, 2].map((index) => {
      const record = duration(`c${index + 1}`, start + index * HOUR_MS, { ...ids, connectedMs: HOUR_MS });
      const begin = start + 5_000 + index * HOUR_MS;
      const times = { answerTime: timestamp(begin), endTime: timestamp(begin + HOUR_MS) };
      return Object.assign(record, times, index === 0 ? {} : { inviteTime: timestamp(begin) });
    });
    await appendDurations(db, carrierId, parts);
    await reconcileFully(db, carrierId);
    const [row] = (await readAllResults(db, carrierId)).filter((each) => !each.isMerged);
    const targets = [
      { case: "platformRecordId" as const, value: "p1" },
      ...["c1", "c2", "c3"].map((value) => ({ case: "carrierRecordId" as const, value })),
      ...(row?.discrepancyId ? [{ case: "discrepancyId" as const, value: row.discrepancyId }] : []),
    ];
    for (const target of targets) {
      const { explanations } = await client.explainCall({ carrierId, target });
      const shown = explanations.map(({ result }) => [
        result?.status,
        result?.platformRecord?.recordId,
        result?.carrierRecords.map(({ recordId }) => recordId).join("+"),
      ]);
      expect([told, target.value, shown]).toEqual([told, target.value, [[row?.status, "p1", "c1+c2+c3"]]]);
    }
  }
});

test("a call that waits to be judged again is explained as it stands, and the first step says so", async () => {
  const { db } = exchange.app.services;
  const client = await exchange.platformClient(ReconciliationService);
  const start = Date.parse(`${addDays(new Date().toISOString().slice(0, 10), -2)}T06:00:00Z`);
  await addCarrier(db, "waiting", { graceMs: 0n });
  await assignNumbers(db, "waiting", [NUMBER], "customer-1");
  await appendCdrs(db, "waiting", [cdr("p", start)]);
  await appendDurations(db, "waiting", [duration("c", start)]);
  await reconcileFully(db, "waiting");
  await appendDurations(db, "waiting", [duration("c", start, { revision: 2, connectedMs: 90_000 })]);
  const explain = async () => {
    const target = { case: "platformRecordId" as const, value: "p" };
    const { explanations } = await client.explainCall({ carrierId: "waiting", target });
    return explanations[0];
  };
  const before = await explain();
  expect(before?.result).toMatchObject({ status: 1, carrierRecords: [{ recordId: "c", revision: 1 }] });
  expect(before?.steps[0]?.explanation).toMatch(/^The result in force rests on .* waits to be judged again\./);
  await reconcileFully(db, "waiting");
  const after = await explain();
  expect(after?.result).toMatchObject({ status: 4, carrierRecords: [{ recordId: "c", revision: 2 }] });
  expect(after?.steps[0]?.explanation).toMatch(/^What counts is/);
});
