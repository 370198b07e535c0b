import { create } from "@bufbuild/protobuf";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { addDays } from "../../src/domain/time/instant.ts";
import { CallDetailRecordSchema, CallPartiesSchema } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { systemTransaction } from "../../src/store/database/database.ts";
import { withDays } from "../../src/store/usage/usage-periods.ts";
import { NO_FILTER, usageRelation } from "../../src/store/usage/usage-source.ts";
import { openTestStore } from "../support/database.ts";
import { NUMBER, timestamp } from "../support/feed.ts";
import { addReconciledCarrier, cdr, duration, reconciledCalls } from "../support/minute-calls.ts";
import { appendCdrs, appendDurations, reconcileFully } from "../support/reconcile.ts";

// That what a result rests on is read, whichever record comes last: the rules themselves are tested
// beside the matcher.

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY = addDays(new Date().toISOString().slice(0, 10), -2);
const EIGHT = Date.parse(`${DAY}T08:00:00Z`);
const DIALOG = { interconnectDialog: { callId: "t@192.0.2.1", fromTag: "a1", toTag: "b1" } };

const store = await openTestStore();
const { db } = store;
let carrierId: string;
let carriers = 0;

afterAll(() => store[Symbol.asyncDispose]());
beforeEach(addEvidenceCarrier);

async function addEvidenceCarrier(): Promise<void> {
  carrierId = `evidence-${++carriers}`;
  await addReconciledCarrier(db, carrierId, `customer-${carriers}`);
}

type Append = () => Promise<void>;

async function inSteps(steps: readonly Append[]): Promise<string[]> {
  await addEvidenceCarrier();
  for (const step of steps) {
    await step();
    await reconcileFully(db, carrierId);
  }
  return reconciledCalls(db, carrierId);
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest]));
}

/** A platform's record with its own length. */
function cdrOf(recordId: string, startMs: number, connectedMs: number, more: object = {}) {
  const record = cdr(recordId, startMs);
  return create(CallDetailRecordSchema, {
    ...record,
    times: {
      inviteTime: timestamp(startMs),
      answerTime: timestamp(startMs + 5_000),
      endTime: timestamp(startMs + 5_000 + connectedMs),
    },
    lengths: { connectedDurationMs: BigInt(connectedMs), totalDurationMs: BigInt(connectedMs + 5_000) },
    ...more,
  } as never);
}

describe("a transfer after two hours, on one dialog", () => {
  const p1: Append = () => appendCdrs(db, carrierId, [cdrOf("p1", EIGHT, 2 * HOUR_MS, { correlation: DIALOG })]);
  const second = EIGHT + 2 * HOUR_MS + 5_000;
  const p2: Append = () => appendCdrs(db, carrierId, [cdrOf("p2", second - 4_000, HOUR_MS, { correlation: DIALOG })]);
  const c: Append = async () => {
    const record = duration("c", EIGHT, { connectedMs: 3 * HOUR_MS });
    await appendDurations(db, carrierId, [{ ...record, correlation: DIALOG } as never]);
  };

  test.each(permutations(["p1", "p2", "c"]).map((order) => [order.join(", "), order] as const))(
    "is one call whatever comes last: %s",
    async (_, order) => {
      const steps = { p1, p2, c };
      expect(await inSteps(order.map((name) => steps[name as keyof typeof steps]))).toEqual([
        "p1/c MATCHED_EXACT",
        "p2/ PART_OF_CALL",
      ]);
    },
  );

  test("counts once in usage, with the whole length", async () => {
    await inSteps([p1, p2, c]);
    expect(await usageOf()).toEqual([[1, 3 * HOUR_MS]]);
  });

  test("is two calls again when the carrier takes its record back", async () => {
    const taken: Append = async () => {
      const record = duration("c", EIGHT, { connectedMs: 3 * HOUR_MS, kind: 2, revision: 2 });
      await appendDurations(db, carrierId, [{ ...record, correlation: DIALOG } as never]);
    };
    expect(await inSteps([p1, p2, c, taken])).toEqual(["c VOIDED", "p1/ MISSING_AT_CARRIER", "p2/ MISSING_AT_CARRIER"]);
  });
});

describe("a copy outside the reporting scope", () => {
  test("counts once in usage", async () => {
    const inbound = {
      direction: 2,
      parties: create(CallPartiesSchema, {
        calling: { kind: 1, value: "+12025550123" },
        called: { kind: 1, value: NUMBER },
      }),
    };
    const both: Append = () =>
      appendCdrs(db, carrierId, [
        cdrOf("p1", EIGHT, 10 * MINUTE_MS, inbound),
        cdrOf("p2", EIGHT + 800, 10 * MINUTE_MS, inbound),
      ]);
    expect(await inSteps([both])).toEqual(["p1/ NOT_REPORTED", "p2/ DUPLICATE_AT_PLATFORM"]);
    expect(await usageOf()).toEqual([[1, 10 * MINUTE_MS]]);
  });
});

describe("an alarm line that calls about once a minute, without ids", () => {
  const alarm = (index: number) => EIGHT + index * 57_000;
  const both =
    (indexes: readonly number[]): Append =>
    async () => {
      await appendCdrs(
        db,
        carrierId,
        indexes.map((index) => cdr(`p${index}`, alarm(index))),
      );
      await appendDurations(
        db,
        carrierId,
        indexes.map((index) => duration(`c${index}`, alarm(index) + 100)),
      );
    };
  const upTo = (count: number, but: readonly number[] = []) =>
    Array.from({ length: count }, (_, index) => index).filter((index) => !but.includes(index));

  test.each([
    ["one at its end comes late", [129]],
    ["two in its middle come late", [60, 61]],
  ])("is paired in all of its calls: %s", async (_, late) => {
    const result = await inSteps([both(upTo(130, late)), both(late)]);
    expect(new Set(result.map((text) => text.split(" ")[1]))).toEqual(new Set(["MATCHED_EXACT"]));
    expect(result).toHaveLength(130);
  });
});

describe("190 bills of 30/6 that nobody declared", () => {
  test("are all exact once the day has shown the rule", async () => {
    const lengths = Array.from({ length: 190 }, (_, index) =>
      index % 2 === 0 ? 2_000 + ((index * 3_331) % 26_000) : 31_000 + ((index * 13_731) % 200_000),
    );
    const steps = [
      () =>
        appendCdrs(
          db,
          carrierId,
          lengths.map((ms, index) => cdrOf(`p${index}`, EIGHT + index * 5 * MINUTE_MS, ms)),
        ),
      () =>
        appendDurations(
          db,
          carrierId,
          lengths.map((ms, index) => {
            const billedS = Math.max(30, Math.ceil(ms / 6_000) * 6);
            return duration(`c${index}`, EIGHT + index * 5 * MINUTE_MS, { billedS });
          }),
        ),
    ];
    const results = await inSteps(steps);
    const statuses = Map.groupBy(results, (text) => text.split(" ")[1]);
    expect([...statuses.keys()]).toEqual(["MATCHED_EXACT"]);
    expect(results).toHaveLength(190);
  });
});

/** Attempts and connected time of the day, a row a line of usage. */
async function usageOf(): Promise<[number, number][]> {
  const period = {
    customerId: `customer-${carriers}`,
    startDate: addDays(DAY, -1),
    endDate: addDays(DAY, 2),
    timeZone: "UTC",
  };
  return systemTransaction(db, async (tx) => {
    const { rows } = await usageRelation(await withDays(tx, period), NO_FILTER).execute(tx);
    return (rows as { carrier_id: string; attempts: bigint; connected_ms: bigint }[])
      .filter((row) => row.carrier_id === carrierId)
      .map(({ attempts, connected_ms }) => [Number(attempts), Number(connected_ms)]);
  });
}
