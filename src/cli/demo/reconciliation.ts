import { setTimeout as wait } from "node:timers/promises";
import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { ingestCdrs } from "../../client/ingest-cdrs.ts";
import type { UploadResult } from "../../client/upload.ts";
import { uploadDurations } from "../../client/upload-durations.ts";
import { arraySource } from "../../client/upload-source.ts";
import { wallMs } from "../../domain/time/wall-clock.ts";
import { DurationService } from "../../gen/tandem/carrier/v1/duration_service_pb.js";
import { NumberService as CarrierNumberService } from "../../gen/tandem/carrier/v1/number_service_pb.js";
import { CarrierService } from "../../gen/tandem/platform/v1/carrier_service_pb.js";
import { CdrService } from "../../gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { NumberService } from "../../gen/tandem/platform/v1/platform_number_service_pb.js";
import {
  type CarrierReconciliationStatus,
  ReconciliationService,
} from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { DurationSource, UsageDimension, type UsageRow } from "../../gen/tandem/platform/v1/usage_pb.js";
import { UsageService } from "../../gen/tandem/platform/v1/usage_service_pb.js";
import type { CallDetailRecord } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import type { CallDuration } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { AssigneeKind, NumberCapability } from "../../gen/tandem/type/v1/phone_number_pb.js";
import { assignedNumbers } from "../../simulator/world.ts";
import { type CuttableConnection, DEMO_OPTIONS, STILL_MS } from "./cuttable-connection.ts";
import type { ReconciliationPlan } from "./plan.ts";

/** The grace is so much longer than the exchange of what is not late took, milliseconds. */
export const GRACE_BEYOND_MS = 1_000;
const POLL_MS = 200;
/** Contracts go up to 0.05. */
const THRESHOLDS = { netRatio: 0.01, grossRatio: 0.02, unmatchedRatio: 0.01 };

/** The lines of those who take part. */
export interface ReconciliationStage {
  readonly platform: CuttableConnection;
  readonly carrier: CuttableConnection;
  readonly plan: ReconciliationPlan;
  readonly signal: AbortSignal;
}

/** What became of the uploads; each in the order in which it was sent. */
export interface ReconciledUploads {
  readonly cdrs: readonly UploadResult[];
  readonly durations: readonly UploadResult[];
}

/**
 * Onboards one more carrier, exchanges both sides' records of its calls, the late ones when the
 * grace is over, and waits until Tandem has judged all of them. The grace is agreed on once it is
 * known how long both sides took to send what is not late: on a slow machine that may be any time.
 */
export async function reconcileOneMore(stage: ReconciliationStage): Promise<ReconciledUploads> {
  const { cdrs, durations, carrier } = stage.plan;
  await onboard(stage);
  const begunMs = performance.now();
  const first = await exchange(stage, "at-once", cdrs.atOnce, durations.atOnce);
  const graceMs = Math.ceil(performance.now() - begunMs) + GRACE_BEYOND_MS;
  await agreeOnGrace(stage, graceMs);
  await untilReconciled(stage.platform, [carrier.carrierId], stage.signal, { graceMs });
  const late = await exchange(stage, "late", cdrs.late, durations.late);
  await untilReconciled(stage.platform, [carrier.carrierId], stage.signal, { graceMs });
  return { cdrs: [first.ingest, late.ingest], durations: [first.upload, late.upload] };
}

interface UntilReconciledOptions {
  readonly isDone?: (status: CarrierReconciliationStatus) => boolean;
  /** For so long calls may wait and nothing moves, milliseconds. */
  readonly graceMs?: number;
}

/**
 * Waits until it is done for each of the carriers: by default, when all is judged and no call waits
 * for anything. It gives up when nothing has moved for long, and what is read then tells.
 */
export async function untilReconciled(
  line: CuttableConnection,
  carrierIds: readonly string[],
  signal: AbortSignal,
  { isDone = isSettled, graceMs = 0 }: UntilReconciledOptions = {},
): Promise<void> {
  const client = line.client(ReconciliationService);
  let seen = "";
  let movedMs = performance.now();
  while (true) {
    const statuses = await readStatuses(client, carrierIds, signal);
    if (statuses.every(isDone)) return;
    const now = statuses.map(progressOf).join();
    if (now !== seen) movedMs = performance.now();
    seen = now;
    if (performance.now() - movedMs > STILL_MS + graceMs) return;
    await wait(POLL_MS, undefined, { signal });
  }
}

/** Whether all records that there are were judged. */
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

async function readStatuses(
  client: Client<typeof ReconciliationService>,
  carrierIds: readonly string[],
  signal: AbortSignal,
) {
  return (await client.getReconciliationStatus({ carrierIds: [...carrierIds] }, { signal })).statuses;
}

async function onboard({ platform, carrier: line, plan, signal }: ReconciliationStage): Promise<void> {
  const { carrierId, displayName, legalCountry, timeZone, sipDomain, numbers } = plan.carrier;
  const carrier = { displayName, legalCountry, timeZone, sipDomain, region: "demo" };
  await platform.client(CarrierService).createCarrier(
    {
      requestId: `demo-create-${carrierId}`,
      carrierId,
      carrier: { ...carrier, thresholds: THRESHOLDS },
    },
    { signal },
  );
  const effectiveTime = timestampFromMs(plan.sinceMs);
  const provisioned = numbers.map(({ phoneNumber, numberType, countryCode, customerReference }) => ({
    phoneNumber,
    numberType,
    countryCode,
    customerReference,
    usages: [AssigneeKind.USER, AssigneeKind.VOICE_APPLICATION, AssigneeKind.CONFERENCE],
    capabilities: [NumberCapability.INBOUND_CALLS, NumberCapability.OUTBOUND_CALLS],
    effectiveTime,
  }));
  const provision = { requestId: `demo-provision-${carrierId}`, items: provisioned };
  await line.client(CarrierNumberService).provisionNumbers(provision, { signal });
  const assigned = assignedNumbers(plan.carrier).map(({ phoneNumber, assignment }) => ({
    phoneNumber,
    ...assignment,
    effectiveTime,
  }));
  const assign = { requestId: `demo-assign-${carrierId}`, carrierId, items: assigned };
  await platform.client(NumberService).assignNumbers(assign, { signal });
}

/** Calls that were judged by the grace of before are judged again. */
async function agreeOnGrace({ platform, plan, signal }: ReconciliationStage, graceMs: number): Promise<void> {
  const { carrierId } = plan.carrier;
  const request = { requestId: `demo-grace-${carrierId}`, carrier: { carrierId, graceMs: BigInt(graceMs) } };
  await platform.client(CarrierService).updateCarrier({ ...request, updateMask: { paths: ["grace_ms"] } }, { signal });
}

/** Both sides at once: what the one has, the other has within the grace. */
async function exchange(
  { platform, carrier, plan, signal }: ReconciliationStage,
  name: string,
  cdrs: readonly CallDetailRecord[],
  durations: readonly CallDuration[],
): Promise<{ ingest: UploadResult; upload: UploadResult }> {
  const { carrierId } = plan.carrier;
  const shared = { uploadId: `demo-${carrierId}-${name}`, ...DEMO_OPTIONS, signal };
  const [ingest, upload] = await Promise.all([
    ingestCdrs(platform.client(CdrService), { ...shared, carrierId, source: arraySource(cdrs) }),
    uploadDurations(carrier.client(DurationService), { ...shared, source: arraySource(durations) }),
  ]);
  return { ingest, upload };
}

function msOf(time: Timestamp | undefined): number {
  return time === undefined ? 0 : timestampMs(time);
}

const DAY_MS = 86_400_000;
/** The contract's longest window for one query. */
const WINDOW_DAYS = 92;

/** What a customer sees of its calls, over all its carriers. */
export interface CustomerUsage {
  readonly customerId: string;
  readonly calls: number;
  readonly answered: number;
  readonly connectedMs: number;
  /** Of the connected time, what is by the carrier's clock. */
  readonly carrierSourcedMs: number;
}

/** Asks for each customer's usage from `sinceMs` to tomorrow. */
export async function readUsage(
  line: CuttableConnection,
  { customerIds, sinceMs, signal }: { customerIds: readonly string[]; sinceMs: number; signal: AbortSignal },
): Promise<CustomerUsage[]> {
  const client = line.client(UsageService);
  return await Promise.all(
    customerIds.map(async (customerId) => sumUp(customerId, await queryRows(client, customerId, sinceMs, signal))),
  );
}

async function queryRows(
  client: Client<typeof UsageService>,
  customerId: string,
  sinceMs: number,
  signal: AbortSignal,
): Promise<UsageRow[]> {
  const rows: UsageRow[] = [];
  const endMs = wallMs() + 2 * DAY_MS;
  for (let startMs = sinceMs; startMs < endMs; startMs += WINDOW_DAYS * DAY_MS) {
    const period = { startDate: dayOf(startMs), endDate: dayOf(Math.min(startMs + WINDOW_DAYS * DAY_MS, endMs)) };
    if (period.startDate === period.endDate) continue;
    const request = { customerId, ...period, timeZone: "UTC", groupBy: [UsageDimension.CARRIER], pageSize: 1_000 };
    rows.push(...(await client.queryUsage(request, { signal })).rows);
  }
  return rows;
}

function sumUp(customerId: string, rows: readonly UsageRow[]): CustomerUsage {
  const ofCarrier = rows.flatMap(({ parts }) =>
    parts.filter(({ durationSource }) => durationSource === DurationSource.CARRIER),
  );
  return {
    customerId,
    calls: sum(rows, ({ totals }) => totals?.attemptCount),
    answered: sum(rows, ({ totals }) => totals?.answeredCount),
    connectedMs: sum(rows, ({ totals }) => totals?.connectedDurationMs),
    carrierSourcedMs: sum(ofCarrier, ({ totals }) => totals?.connectedDurationMs),
  };
}

function sum<Item>(items: readonly Item[], count: (item: Item) => bigint | undefined): number {
  return items.reduce((total, item) => total + Number(count(item) ?? 0n), 0);
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
