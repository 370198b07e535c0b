import { afterAll, beforeAll, expect, test } from "vitest";
import { ReconciliationService } from "../../src/gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import type { CallResultRow } from "../../src/store/call-results.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { readAllResults, reconcileFully } from "../support/reconcile.ts";
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
