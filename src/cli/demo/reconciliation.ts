import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { ingestCdrs } from "../../client/ingest-cdrs.ts";
import { uploadDurations } from "../../client/upload-durations.ts";
import { arraySource } from "../../client/upload-source.ts";
import { DAY_MS } from "../../domain/time/instant.ts";
import { wallMs } from "../../domain/time/wall-clock.ts";
import { DurationService } from "../../gen/tandem/carrier/v1/duration_service_pb.js";
import { CarrierService } from "../../gen/tandem/platform/v1/carrier_service_pb.js";
import { CdrService } from "../../gen/tandem/platform/v1/platform_cdr_service_pb.js";
import {
  type CarrierReconciliationStatus,
  ReconciliationService,
} from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { DurationSource, UsageDimension, type UsageRow } from "../../gen/tandem/platform/v1/usage_pb.js";
import { UsageService } from "../../gen/tandem/platform/v1/usage_service_pb.js";
import { dayOf } from "../../simulator/cdr.ts";
import { assignedNumbers } from "../../simulator/world.ts";
import { provisionNumbers } from "./carrier.ts";
import { sumOf } from "./counts.ts";
import { DEMO_OPTIONS, type Line, STILL_MS, untilDone } from "./line.ts";
import type { ReconciliationPlan } from "./plan.ts";
import { assignNumbers, createCarrier } from "./platform.ts";

/** How much longer the grace is than the exchange of what is not late, milliseconds. */
export const GRACE_BEYOND_MS = 1_000;
/** Contracts go up to 0.05. */
const THRESHOLDS = { netRatio: 0.01, grossRatio: 0.02, unmatchedRatio: 0.01 };

interface ReconciliationStage {
  readonly platform: Line;
  readonly carrier: Line;
  readonly plan: ReconciliationPlan;
}

/**
 * Onboards one more carrier and exchanges both sides' records of its calls, the late ones when the
 * grace is over. Waits until Tandem has judged all of them. The grace is agreed on once it is known
 * how long both sides took to send what is not late: on a slow machine that may be any time. Calls
 * that were judged before are then judged again.
 * @returns what became of the uploads.
 */
export async function reconcileOneMore(stage: ReconciliationStage) {
  const { platform, carrier: line } = stage;
  const { carrier, sinceMs } = stage.plan;
  const { carrierId } = carrier;
  await createCarrier(platform, carrier, THRESHOLDS);
  await provisionNumbers(line, carrier, sinceMs);
  const numbers = assignedNumbers(carrier);
  await assignNumbers(platform, carrier, "assign", { numbers, sinceMs });
  const begunMs = performance.now();
  const first = await exchange(stage, "atOnce");
  const graceMs = Math.ceil(performance.now() - begunMs) + GRACE_BEYOND_MS;
  const agreed = { requestId: `demo-grace-${carrierId}`, carrier: { carrierId, graceMs: BigInt(graceMs) } };
  await platform.client(CarrierService).updateCarrier({ ...agreed, updateMask: { paths: ["grace_ms"] } });
  await untilReconciled(platform, [carrierId], { graceMs });
  const late = await exchange(stage, "late");
  await untilReconciled(platform, [carrierId], { graceMs });
  return [...first, ...late];
}

/** Both sides at once: what the one has, the other has within the grace. */
function exchange({ platform, carrier, plan }: ReconciliationStage, when: "atOnce" | "late") {
  const { carrierId } = plan.carrier;
  const shared = { uploadId: `demo-${carrierId}-${when}`, ...DEMO_OPTIONS, signal: platform.signal };
  return Promise.all([
    ingestCdrs(platform.client(CdrService), { ...shared, carrierId, source: arraySource(plan.cdrs[when]) }),
    uploadDurations(carrier.client(DurationService), { ...shared, source: arraySource(plan.durations[when]) }),
  ]);
}

interface UntilReconciledOptions {
  /** Default: all is judged, and no call waits for anything. */
  readonly isDone?: (status: CarrierReconciliationStatus) => boolean;
  /** How long calls may wait without any progress, milliseconds. */
  readonly graceMs?: number;
}

/** Waits until it is done for each of the carriers, or nothing has moved for long. */
export async function untilReconciled(
  line: Line,
  carrierIds: readonly string[],
  { isDone = isSettled, graceMs = 0 }: UntilReconciledOptions = {},
): Promise<void> {
  const client = line.client(ReconciliationService);
  const read = () => client.getReconciliationStatus({ carrierIds: [...carrierIds] });
  await untilDone(read, {
    isDone: ({ statuses }) => statuses.every(isDone),
    progressOf: ({ statuses }) => statuses.map(progressOf).join(),
    signal: line.signal,
    stillMs: STILL_MS + graceMs,
  });
}

/** Whether all records were judged. */
export function isCaughtUp(status: CarrierReconciliationStatus): boolean {
  const newestMs = Math.max(msOf(status.lastCdrTime), msOf(status.lastDurationTime));
  const isAtHeads =
    status.cdrSequence === status.cdrHeadSequence && status.durationSequence === status.durationHeadSequence;
  return isAtHeads && status.rejudgedFromDate === undefined && msOf(status.reconciledThroughTime) > newestMs;
}

function isSettled(status: CarrierReconciliationStatus): boolean {
  return isCaughtUp(status) && status.pendingTotals.length === 0;
}

/** What changes as calls are judged; how far the clock has come says nothing. */
function progressOf(status: CarrierReconciliationStatus): string {
  const { cdrSequence, durationSequence, discrepancyHeadSequence, pendingTotals, rejudgedFromDate } = status;
  const pending = pendingTotals.map(({ pendingReason, callCount }) => `${pendingReason}:${callCount}`);
  return [cdrSequence, durationSequence, discrepancyHeadSequence, rejudgedFromDate, ...pending].join("/");
}

function msOf(time: Timestamp | undefined): number {
  return time === undefined ? 0 : timestampMs(time);
}

/** The contract's longest window for one query. */
const WINDOW_MS = 92 * DAY_MS;

/** What a customer sees of its calls, over all its carriers. */
export type CustomerUsage = ReturnType<typeof sumUp>;

/** Asks for each customer's usage from `sinceMs` to tomorrow. */
export async function readUsage(
  line: Line,
  { customerIds, sinceMs }: { customerIds: readonly string[]; sinceMs: number },
): Promise<CustomerUsage[]> {
  const client = line.client(UsageService);
  const endMs = wallMs() + 2 * DAY_MS;
  const ofCustomer = async (customerId: string) => {
    const rows: UsageRow[] = [];
    for (let startMs = sinceMs; startMs < endMs; startMs += WINDOW_MS) {
      const period = { startDate: dayOf(startMs), endDate: dayOf(Math.min(startMs + WINDOW_MS, endMs)) };
      if (period.startDate === period.endDate) continue;
      const request = { customerId, ...period, timeZone: "UTC", groupBy: [UsageDimension.CARRIER], pageSize: 1_000 };
      rows.push(...(await client.queryUsage(request)).rows);
    }
    return sumUp(customerId, rows);
  };
  return await Promise.all(customerIds.map(ofCustomer));
}

function sumUp(customerId: string, rows: readonly UsageRow[]) {
  const ofCarrier = rows.flatMap(({ parts }) =>
    parts.filter(({ durationSource }) => durationSource === DurationSource.CARRIER),
  );
  return {
    customerId,
    calls: sumOf(rows, ({ totals }) => totals?.attemptCount),
    answered: sumOf(rows, ({ totals }) => totals?.answeredCount),
    connectedMs: sumOf(rows, ({ totals }) => totals?.connectedDurationMs),
    /** Of the connected time, what is by the carrier's clock. */
    carrierSourcedMs: sumOf(ofCarrier, ({ totals }) => totals?.connectedDurationMs),
  };
}
