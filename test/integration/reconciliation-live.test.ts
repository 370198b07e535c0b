import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { ReconciliationService } from "../../src/gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { ReconciliationService as PlatformReconciliationService } from "../../src/gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { type CallDuration, CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { DiscrepancyStatus } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import { SummaryDimension } from "../../src/gen/tandem/type/v1/reconciliation_summary_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, discrepanciesOf, ingest, LATEST, NUMBER, readDiscrepancies, timestamp, until } from "../support/feed.ts";
import { expectSound } from "../support/upload-store.ts";

const DAY_MS = 86_400_000;
const START_MS = Date.now() - 3 * DAY_MS;
const MINUTE_MS = 60_000;

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange({ reconcileIntervalMs: 100, heartbeatIntervalMs: 100 });
  await exchange.addCarrier("acme", { graceMs: 0n, timeZone: "UTC" });
  await exchange.assignNumbers("acme", [NUMBER], "cedar-bank");
});
afterAll(() => exchange[Symbol.asyncDispose]());

/** What the carrier has of the call that began so many minutes after the first. */
function duration(index: number, connectedMs: number, revision = 1): CallDuration {
  const inviteMs = START_MS + index * 10 * MINUTE_MS;
  return create(CallDurationSchema, {
    recordId: `d-${index}`,
    recordDate: new Date(inviteMs).toISOString().slice(0, 10),
    revision,
    direction: 1,
    answered: true,
    calling: { kind: 1, value: NUMBER },
    called: { kind: 1, value: "+12025550123" },
    inviteTime: timestamp(inviteMs),
    answerTime: timestamp(inviteMs + 5_000),
    connectedDurationMs: BigInt(connectedMs),
  });
}

test("what differs reaches a live stream, lists and the summary; a correction resolves it; and all that is stored adds up", async () => {
  const client = await exchange.carrierClient(ReconciliationService, "acme");
  const durations = await exchange.carrierClient(DurationService, "acme");
  const platform = await exchange.platformClient(PlatformReconciliationService);
  using feed = readDiscrepancies(client, { start: LATEST });
  await feed.until((messages) => messages.length > 0);

  const calls = [0, 1, 2].map((index) => call(`r-${index}`, {}, START_MS + index * 10 * MINUTE_MS));
  await ingest(exchange, "acme", calls);
  await durations.appendDurations({ uploadId: "first", records: [duration(0, MINUTE_MS), duration(1, 75_000)] });
  // Whatever was said on the way, in which order the records came: one that differs, and one that
  // is missing.
  const openCalls = async () => {
    const { discrepancies } = await client.listDiscrepancies({ filter: { unresolved: true } });
    return discrepancies
      .map(({ platformRecord, status }) => `${platformRecord?.recordId} ${DiscrepancyStatus[status]}`)
      .sort();
  };
  await until(openCalls, ["r-1 DURATION_MISMATCH", "r-2 MISSING_AT_CARRIER"]);

  await durations.appendDurations({ uploadId: "second", records: [duration(1, MINUTE_MS, 2), duration(2, 61_000)] });
  await until(openCalls, []);
  const { discrepancies } = await client.listDiscrepancies({});
  await feed.until((messages) => discrepanciesOf(messages).length >= Number(discrepancies.at(-1)?.sequence ?? 0n));
  const last = new Map(discrepanciesOf(feed.messages).map((each) => [each.discrepancyId, each]));
  expect([...last.values()].sort((a, b) => Number(a.sequence - b.sequence))).toEqual(discrepancies);
  expect(discrepancies.every((each) => each.resolvedTime !== undefined)).toBe(true);

  const startDate = new Date(START_MS).toISOString().slice(0, 10);
  const endDate = new Date(START_MS + 2 * DAY_MS).toISOString().slice(0, 10);
  const { rows } = await platform.getReconciliationSummary({
    startDate,
    endDate,
    groupBy: [SummaryDimension.CUSTOMER],
  });
  expect(rows).toMatchObject([
    {
      carrierId: "acme",
      customerId: "cedar-bank",
      reportingState: 1,
      comparedCallCount: 3n,
      platformConnectedDurationMs: 180_000n,
      carrierConnectedDurationMs: 181_000n,
      absoluteDeltaMs: 1_000n,
      unmatched: { ratio: 0 },
    },
  ]);
  // The positions follow once nothing is left to judge.
  await expect
    .poll(async () => (await platform.getReconciliationStatus({})).statuses)
    .toMatchObject([
      { cdrSequence: 3n, cdrHeadSequence: 3n, durationSequence: 4n, unresolvedDiscrepancyCount: 0n, pendingTotals: [] },
    ]);
  await expectSound(exchange, "acme");
});
