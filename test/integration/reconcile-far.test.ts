import { create } from "@bufbuild/protobuf";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { addDays } from "../../src/domain/time/instant.ts";
import { CorrelationSchema, RecordKind } from "../../src/gen/tandem/type/v1/call_pb.js";
import { systemTransaction } from "../../src/store/database/database.ts";
import { readReconcilePosition } from "../../src/store/reconciliation/reconcile-progress.ts";
import { openTestStore } from "../support/database.ts";
import { timestamp } from "../support/feed.ts";
import { addReconciledCarrier, cdr, duration, reconciledCalls } from "../support/minute-calls.ts";
import { appendCdrs, appendDurations, reconcileFully } from "../support/reconcile.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** 08:00 UTC of the day before yesterday. */
const EIGHT = Date.parse(`${addDays(new Date().toISOString().slice(0, 10), -2)}T08:00:00Z`);

const store = await openTestStore();
const { db } = store;
let carrierId: string;
let carriers = 0;

afterAll(() => store[Symbol.asyncDispose]());
beforeEach(addFarCarrier);

async function addFarCarrier(): Promise<void> {
  carrierId = `far-${++carriers}`;
  await addReconciledCarrier(db, carrierId);
}

function results(): Promise<string[]> {
  return reconciledCalls(db, carrierId);
}

describe("a pair whose clocks are hours apart, joined by its dialog", () => {
  const THERE = EIGHT + 3 * HOUR_MS;
  const PAIRED = ["p/c MATCHED_EXACT"];
  beforeEach(async () => {
    await appendCdrs(db, carrierId, [cdr("p", EIGHT, { dialog: "d" })]);
    await appendDurations(db, carrierId, [duration("c", THERE, { dialog: "d" })]);
    expect(await results()).toEqual(PAIRED);
  });

  test("stays paired when other calls come beside either of its records", async () => {
    await appendCdrs(db, carrierId, [cdr("p2", EIGHT + 20_000, { called: "+12025550199" })]);
    expect(await results()).toEqual(["p/c MATCHED_EXACT", "p2/ MISSING_AT_CARRIER"]);
    await appendDurations(db, carrierId, [duration("c2", THERE + 20_000, { called: "+12025550177" })]);
    expect(await results()).toEqual(["c2 MISSING_AT_PLATFORM", "p/c MATCHED_EXACT", "p2/ MISSING_AT_CARRIER"]);
  });

  test("stays paired when another call of the same parties comes beside either of its records", async () => {
    await appendCdrs(db, carrierId, [cdr("p2", THERE + 20_000)]);
    expect(await results()).toEqual(["p/c MATCHED_EXACT", "p2/ MISSING_AT_CARRIER"]);
    await appendDurations(db, carrierId, [duration("c2", EIGHT + 20_000)]);
    expect(await results()).toEqual(["c2 MISSING_AT_PLATFORM", "p/c MATCHED_EXACT", "p2/ MISSING_AT_CARRIER"]);
  });

  test("is compared again when the carrier corrects its record", async () => {
    await appendDurations(db, carrierId, [duration("c", THERE, { dialog: "d", revision: 2, connectedMs: 90_000 })]);
    expect(await results()).toEqual(["p/c DURATION_MISMATCH"]);
  });

  test("comes apart when either side takes its record back", async () => {
    await appendDurations(db, carrierId, [duration("c", THERE, { revision: 2, kind: RecordKind.VOID })]);
    expect(await results()).toEqual(["c VOIDED", "p/ MISSING_AT_CARRIER"]);
    await appendDurations(db, carrierId, [duration("c", THERE, { dialog: "d", revision: 3 })]);
    expect(await results()).toEqual(PAIRED);
    await appendCdrs(db, carrierId, [cdr("p", EIGHT, { isVoid: true })]);
    expect(await results()).toEqual(["c MISSING_AT_PLATFORM", "p/ VOIDED"]);
  });
});

describe("a pair whose clocks are hours apart, of which one side has but a lesser id", () => {
  const THERE = EIGHT + 3 * HOUR_MS;
  const dialog = { interconnectDialog: { callId: "d" }, icid: "i" };
  const sides = (ofPlatform: object, ofCarrier: object, echo?: string) => ({
    platform: () =>
      appendCdrs(db, carrierId, [{ ...cdr("p", EIGHT), correlation: create(CorrelationSchema, ofPlatform) }]),
    carrier: () => {
      const correlation = create(CorrelationSchema, ofCarrier);
      const record = {
        ...duration("c", THERE),
        correlation,
        ...(echo === undefined ? {} : { platformRecordId: echo }),
      };
      return appendDurations(db, carrierId, [record]);
    },
  });

  test.each([
    { told: "an ICID at the carrier", ...sides(dialog, { icid: "i" }) },
    { told: "an ICID at the platform", ...sides({ icid: "i" }, dialog) },
    { told: "the platform's own id at the carrier", ...sides({}, {}, "p") },
  ])("is found whichever comes first: $told", async ({ platform, carrier }) => {
    await platform();
    expect(await results()).toEqual(["p/ MISSING_AT_CARRIER"]);
    await carrier();
    expect(await results()).toEqual(["p/c MATCHED_EXACT"]);

    await addFarCarrier();
    await carrier();
    expect(await results()).toEqual(["c MISSING_AT_PLATFORM"]);
    await platform();
    expect(await results()).toEqual(["p/c MATCHED_EXACT"]);
  });
});

describe("a call of two records of one dialog that begin an hour apart", () => {
  const LATER = EIGHT + HOUR_MS + 5_000;
  const whole = (recordId: string) => {
    const record = cdr(recordId, EIGHT, { dialog: "d" });
    if (record.times)
      record.times.endTime = { ...record.times.endTime, ...timestamp(EIGHT + 2 * HOUR_MS + 5_000) } as never;
    return record;
  };
  beforeEach(async () => {
    await appendCdrs(db, carrierId, [whole("p")]);
    await appendDurations(db, carrierId, [
      duration("c1", EIGHT, { dialog: "d", connectedMs: HOUR_MS }),
      duration("c2", LATER - 5_000, { dialog: "d", connectedMs: HOUR_MS }),
    ]);
    expect(await results()).toEqual(["p/c1+c2 MATCHED_EXACT"]);
  });

  test("stays whole when other calls come beside its records", async () => {
    await appendCdrs(db, carrierId, [cdr("p2", EIGHT + 20_000, { called: "+12025550199" })]);
    expect(await results()).toEqual(["p/c1+c2 MATCHED_EXACT", "p2/ MISSING_AT_CARRIER"]);
    await appendDurations(db, carrierId, [duration("c3", LATER + 20_000, { called: "+12025550177" })]);
    expect(await results()).toEqual(["c3 MISSING_AT_PLATFORM", "p/c1+c2 MATCHED_EXACT", "p2/ MISSING_AT_CARRIER"]);
  });

  test("leaves the other record to itself when the platform takes its own back", async () => {
    await appendCdrs(db, carrierId, [cdr("p", EIGHT, { isVoid: true })]);
    expect(await results()).toEqual(["c1+c2 MISSING_AT_PLATFORM", "p/ VOIDED"]);
  });

  test("is what the other record shows when the carrier takes one back", async () => {
    await appendDurations(db, carrierId, [duration("c1", EIGHT, { revision: 2, kind: RecordKind.VOID })]);
    expect(await results()).toEqual(["c1 VOIDED", "p/c2 DURATION_MISMATCH"]);
  });
});

describe("an hour with few calls beside one whose clock is an hour off", () => {
  const named = (index: number) => `+1202555${1_000 + index}`;
  const pairs = (prefix: string, count: number, startMs: number, offsetMs: number) => {
    const starts = Array.from({ length: count }, (_, index) => startMs + index * MINUTE_MS);
    return {
      cdrs: starts.map((ms, index) => cdr(`p-${prefix}${index}`, ms, { called: named(index) })),
      durations: starts.map((ms, index) => duration(`c-${prefix}${index}`, ms + offsetMs, { called: named(index) })),
    };
  };
  const off = pairs("off", 25, EIGHT, HOUR_MS);
  const right = pairs("right", 5, EIGHT + 2 * HOUR_MS + 30 * MINUTE_MS, 0);

  test.each([
    { order: "the few calls first", groups: [right, off] },
    { order: "the many first", groups: [off, right] },
    {
      order: "all at once",
      groups: [{ cdrs: [...off.cdrs, ...right.cdrs], durations: [...off.durations, ...right.durations] }],
    },
  ])("keeps its own clock: $order", async ({ groups }) => {
    for (const { cdrs, durations } of groups) {
      await appendCdrs(db, carrierId, cdrs);
      await appendDurations(db, carrierId, durations);
      await results();
    }
    const statuses = (await results()).map((text) => text.split(" ")[1]);
    expect(statuses).toEqual(Array.from({ length: 30 }, () => "MATCHED_EXACT"));
  });
});

test("ends although records never cease to come, and tells how far it is", async () => {
  const most = 1_000;
  let isOver = false;
  let written = 0;
  const append = () => {
    const index = written++;
    return appendCdrs(db, carrierId, [cdr(`p-${index}`, EIGHT, { called: `+1202555${1_000 + index}` })]);
  };
  await append();
  const reconciling = reconcileFully(db, carrierId).finally(() => {
    isOver = true;
  });
  const write = async () => {
    while (!isOver && written < most) await append();
  };
  await Promise.all([write(), write(), write(), write()]);
  expect(written).toBeLessThan(most);
  await reconciling;
  const position = await systemTransaction(db, (tx) => readReconcilePosition(tx, carrierId));
  expect(position?.cdrSequence).toBeGreaterThan(0n);
});
