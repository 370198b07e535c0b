import { type DescMessage, toJson } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PLATFORM_SIDE } from "../../src/domain/record-kind.ts";
import { addDays } from "../../src/domain/time/instant.ts";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import {
  ReconciliationService as OwnReconciliationService,
  ExplainCallResponseSchema as OwnResponseSchema,
} from "../../src/gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { RecipientKind } from "../../src/gen/tandem/platform/v1/disclosure_pb.js";
import {
  ExplainCallResponseSchema,
  ReconciliationService,
} from "../../src/gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import type { CallResultRow } from "../../src/store/reconciliation/call-result-columns.ts";
import { addCarrier, assignNumbers } from "../support/carriers.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { NUMBER, runSql, timestamp } from "../support/feed.ts";
import { cdr, duration } from "../support/minute-calls.ts";
import { appendCdrs, appendDurations, readAllResults, reconcileFully } from "../support/reconcile.ts";
import { addWorldCarrier, deliveriesOf, recentWorld } from "../support/reconciliation-world.ts";
import { reasonOf } from "../support/refusal.ts";

const CARRIER = "explained";
const NEIGHBOUR = "neighbour";
const world = recentWorld({ seed: "explain", callCount: 500, correlatedShare: 0.5 });
let exchange: Exchange;
let rows: CallResultRow[];

beforeAll(async () => {
  exchange = await startExchange();
  const { db } = exchange.services;
  await addWorldCarrier(db, CARRIER, world);
  for (const delivery of deliveriesOf(world)) await delivery.run(db, CARRIER);
  await reconcileFully(db, CARRIER, { nowMs: world.nowMs });
  await addCarrier(db, NEIGHBOUR);
  rows = (await readAllResults(db, CARRIER)).filter((row) => !row.isMerged);
});
afterAll(() => exchange[Symbol.asyncDispose]());

// The clock of the server is past every grace but those of the freshest calls, which may have run
// out since.
const SETTLED = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13];

test("explains a call of every status as it was judged, with both records and a sentence for each step", async () => {
  const client = await exchange.platformClient(ReconciliationService);
  for (const status of SETTLED) {
    const row = rows.find((each) => each.status === status);
    if (!row) continue;
    const target = targetOf(row);
    const { explanations } = await client.explainCall({ carrierId: CARRIER, target, recordDate: row.recordDate });
    const [explained] = explanations;
    expect(explained?.result).toMatchObject({ status, discrepancyId: row.discrepancyId ?? "" });
    expect(explained?.platformRecord?.recordId).toBe(row.side === PLATFORM_SIDE ? row.recordId : undefined);
    expect(explained?.carrierRecords.map(({ recordId }) => recordId)).toEqual(
      row.carrierRecords.map(({ recordId }) => recordId),
    );
    expect(explained?.steps.length).toBeGreaterThan(0);
    for (const step of explained?.steps ?? []) expect(step.explanation).toMatch(/^[A-Z].*\.$/);
  }
});

test("a discrepancy is explained by its own id, and a call's legs by the call's id at every carrier", async () => {
  const client = await exchange.platformClient(ReconciliationService);
  const row = rows.find(
    (each) => each.side === PLATFORM_SIDE && each.discrepancyId !== undefined && each.callId !== undefined,
  );
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
    const row = rows.find((each) => each.side === side && each.status === status && each.otherNumber !== undefined);
    const response = await fetch(`${exchange.url}/tandem.platform.v1.ReconciliationService/ExplainCall`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      body: JSON.stringify({
        carrierId: CARRIER,
        [side === PLATFORM_SIDE ? "platformRecordId" : "carrierRecordId"]: row?.recordId,
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

test("a carrier is told of its own calls what the platform is told of them, of every status", async () => {
  const platform = await exchange.platformClient(ReconciliationService);
  const carrier = await exchange.carrierClient(OwnReconciliationService, CARRIER);
  let compared = 0;
  for (const status of SETTLED) {
    const row = rows.find((each) => each.status === status);
    if (!row) continue;
    const target = targetOf(row);
    const shown = await carrier.explainCall({ target, recordDate: row.recordDate });
    const all = await platform.explainCall({ carrierId: CARRIER, target, recordDate: row.recordDate });
    expect(shown.explanations.length).toBeGreaterThan(0);
    const known = toJson(ExplainCallResponseSchema, all) as { explanations: { carrierId?: string }[] };
    for (const explanation of known.explanations) {
      expect(explanation.carrierId).toBe(CARRIER);
      delete explanation.carrierId;
    }
    expect(toJson(OwnResponseSchema, shown)).toEqual(known);
    compared++;
  }
  expect(compared).toBeGreaterThan(5);
});

test("a carrier is shown no more of the platform's record than its feed shows, and no network identifier", async () => {
  const explaining = await exchange.carrierClient(OwnReconciliationService, CARRIER);
  const reading = await exchange.carrierClient(CdrService, CARRIER);
  const row = rows.find((each) => each.side === PLATFORM_SIDE && each.status === 1);
  const target = { case: "platformRecordId" as const, value: row?.recordId ?? "" };
  const { explanations } = await explaining.explainCall({ target });
  const { records } = await reading.getCdr({ name: { case: "recordId", value: row?.recordId ?? "" } });
  expect(explanations[0]?.platformRecord).toEqual(records[0]);
  expect(explanations[0]?.platformRecord?.networkIdentifiers).toBeUndefined();
  // Both parties are in the records that crossed its trunks; sentences and values show their last
  // digits at most.
  for (const { explanation, values } of explanations[0]?.steps ?? []) {
    const texts = [explanation, ...values.flatMap((value) => [value.platformValue ?? "", value.carrierValue ?? ""])];
    for (const text of texts) expect(text).not.toContain(row?.otherNumber?.slice(1));
  }
});

test("no id of another carrier's calls finds anything, and nothing tells it from an id that nobody has", async () => {
  const neighbour = await exchange.carrierClient(OwnReconciliationService, NEIGHBOUR);
  const row = rows.find(
    (each) => each.discrepancyId !== undefined && each.callId !== undefined && each.carrierRecords.length > 0,
  );
  if (!row) throw new Error("expected a discrepancy of both sides");
  const refused = async (target: Target) => {
    const error = await neighbour.explainCall({ target }).then(
      () => expect.fail("expected a refusal"),
      (thrown: unknown) => ConnectError.from(thrown),
    );
    const [info] = error.findDetails(ErrorInfoSchema);
    return { text: error.rawMessage, reason: info?.reason, names: Object.keys(info?.metadata ?? {}) };
  };
  const targets: Target[] = [
    { case: "callId", value: row.callId ?? "" },
    { case: "discrepancyId", value: row.discrepancyId ?? "" },
    { case: "platformRecordId", value: row.recordId },
    { case: "carrierRecordId", value: row.carrierRecords[0]?.recordId ?? "" },
  ];
  for (const target of targets) {
    const found = await refused(target);
    expect(found.reason).toBe("RECORD_NOT_FOUND");
    expect(found).toEqual(await refused({ ...target, value: "nobody-has-this" }));
  }
});

test("a carrier's explanation is in the log of disclosures as the carrier's, for troubleshooting", async () => {
  const carrier = await exchange.carrierClient(OwnReconciliationService, CARRIER);
  const row = rows.find((each) => each.side === PLATFORM_SIDE && each.status === 1);
  await carrier.explainCall({ target: { case: "platformRecordId", value: row?.recordId ?? "" } });
  const told = await runSql(
    exchange,
    sql<{ recipient_kind: number; record_ids: string[]; masked: boolean }>`
      SELECT recipient_kind, record_ids, masked FROM disclosure
      WHERE carrier_id = ${CARRIER} AND method LIKE '%carrier.v1.ReconciliationService/ExplainCall' AND side = ${sql.lit(PLATFORM_SIDE)}
      ORDER BY disclosure_id`,
  );
  expect(told.some(({ record_ids }) => record_ids.includes(row?.recordId ?? ""))).toBe(true);
  expect(new Set(told.map(({ recipient_kind, masked }) => `${recipient_kind} ${masked}`))).toEqual(
    new Set([`${RecipientKind.CARRIER} false`]),
  );
});

test("every record that a sentence names is in the log of disclosures", async () => {
  const client = await exchange.platformClient(ReconciliationService);
  const named = new Set<string>();
  for (const status of SETTLED) {
    const row = rows.find((each) => each.status === status);
    if (!row) continue;
    const target = targetOf(row);
    const { explanations } = await client.explainCall({ carrierId: CARRIER, target, recordDate: row.recordDate });
    const sentences = explanations.flatMap(({ steps }) => steps.map(({ explanation }) => explanation));
    for (const [, id = ""] of sentences.join(" ").matchAll(/(\S+) of \d{4}-\d\d-\d\d/g)) named.add(id);
  }
  const told = await runSql(
    exchange,
    sql<{ record_ids: string[] }>`SELECT record_ids FROM disclosure
      WHERE carrier_id = ${CARRIER} AND method LIKE '%platform.v1.ReconciliationService/ExplainCall'`,
  );
  const logged = new Set(told.flatMap(({ record_ids }) => record_ids));
  expect(named.size).toBeGreaterThan(10);
  expect([...named].filter((id) => !logged.has(id))).toEqual([]);
});

test("a carrier's request explains 20 calls at most, and says that there are more", async () => {
  const carrier = await exchange.carrierClient(OwnReconciliationService, CARRIER);
  const explain = () => carrier.explainCall({ target: { case: "callId", value: "many-legs" } });
  // Calls that follow each other: they are explained from what is read once.
  const calls = rows
    .filter((row) => row.side === PLATFORM_SIDE)
    .sort((a, b) => Number(a.startTime - b.startTime))
    .map(({ recordId }) => recordId);
  const name = (count: number) =>
    runSql(
      exchange,
      sql`UPDATE cdr_record SET call_id = 'many-legs'
        WHERE carrier_id = ${CARRIER} AND record_id = ANY(${calls.slice(0, count)})`,
    );
  await name(20);
  expect(await explain()).toMatchObject({ explanations: { length: 20 }, truncated: false });
  await name(21);
  expect(await explain()).toMatchObject({ explanations: { length: 20 }, truncated: true });
});

test("both sides' messages of evidence are one, so that no field is told to one side only by oversight", () => {
  const carrier = (OwnResponseSchema as DescMessage).file;
  const platform = (ExplainCallResponseSchema as DescMessage).file;
  const shape = (file: typeof carrier, name: string) =>
    file.messages
      .find((message) => message.name === name)
      ?.fields.map((field) => [field.name, field.number, field.fieldKind, field.proto.type]);
  for (const name of ["EvidenceStep", "EvidenceValue", "RefusedCandidate"])
    expect(shape(carrier, name)).toEqual(shape(platform, name));
  const values = (file: typeof carrier, name: string) =>
    file.enums.find((each) => each.name === name)?.values.map((value) => [value.name, value.number]);
  for (const name of ["EvidenceStage", "EvidenceOutcome"])
    expect(values(carrier, name)).toEqual(values(platform, name));
});

type Target = { case: "callId" | "discrepancyId" | "platformRecordId" | "carrierRecordId"; value: string };

function targetOf(row: CallResultRow): Target {
  return { case: row.side === PLATFORM_SIDE ? "platformRecordId" : "carrierRecordId", value: row.recordId };
}

test("whichever record of a split call is asked for, the result in force is explained, with all of its parts (case 39)", async () => {
  const { db } = exchange.services;
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
  const { db } = exchange.services;
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
  expect(before?.steps[0]?.explanation).toMatch(
    /^The result in force rests on .*\. It is waiting to be judged again\./,
  );
  await reconcileFully(db, "waiting");
  const after = await explain();
  expect(after?.result).toMatchObject({ status: 4, carrierRecords: [{ recordId: "c", revision: 2 }] });
  expect(after?.steps[0]?.explanation).toMatch(/^Tandem compared/);
});
