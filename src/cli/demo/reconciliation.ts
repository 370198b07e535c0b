import { setTimeout as wait } from "node:timers/promises";
import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { ingestCdrs } from "../../client/ingest-cdrs.ts";
import type { UploadResult } from "../../client/upload.ts";
import { uploadDurations } from "../../client/upload-durations.ts";
import { arraySource } from "../../client/upload-source.ts";
import { DurationService } from "../../gen/tandem/carrier/v1/duration_service_pb.js";
import { NumberService as CarrierNumberService } from "../../gen/tandem/carrier/v1/number_service_pb.js";
import { CarrierService } from "../../gen/tandem/platform/v1/carrier_service_pb.js";
import { CdrService } from "../../gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { NumberService } from "../../gen/tandem/platform/v1/platform_number_service_pb.js";
import {
  type CarrierReconciliationStatus,
  ReconciliationService,
} from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import type { CallDetailRecord } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import type { CallDuration } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { AssigneeKind, NumberCapability } from "../../gen/tandem/type/v1/phone_number_pb.js";
import { assignedNumbers } from "../../simulator/world.ts";
import { DEMO_RETRY, type Line } from "./line.ts";
import type { ReconciliationPlan } from "./reconciliation-plan.ts";

/** Long enough for all that is not late to arrive, short enough for a demo; it counts from the arrival of a call's first record. */
const GRACE_MS = 10_000;
/** How long judging may take, the grace included. */
const PATIENCE_MS = 45_000;
const POLL_MS = 200;
/** Contracts go up to 0.05. */
const THRESHOLDS = { netRatio: 0.01, grossRatio: 0.02, unmatchedRatio: 0.01 };

/** The lines of those who take part. */
export interface ReconciliationStage {
  readonly platform: Line;
  readonly carrier: Line;
  readonly plan: ReconciliationPlan;
  readonly signal: AbortSignal;
}

/** What became of the uploads; each in the order in which it was sent. */
export interface ReconciledUploads {
  readonly cdrs: readonly UploadResult[];
  readonly durations: readonly UploadResult[];
}

/**
 * Onboards one more carrier, exchanges both sides' records of its calls, the late ones when the grace is over, and waits until Tandem has judged
 * all of them.
 */
export async function reconcileOneMore(stage: ReconciliationStage): Promise<ReconciledUploads> {
  const { cdrs, durations, carrier } = stage.plan;
  await onboard(stage);
  const first = await exchange(stage, "at-once", cdrs.atOnce, durations.atOnce);
  await untilReconciled(stage.platform, [carrier.carrierId], stage.signal);
  const late = await exchange(stage, "late", cdrs.late, durations.late);
  await untilReconciled(stage.platform, [carrier.carrierId], stage.signal);
  return { cdrs: [first.ingest, late.ingest], durations: [first.upload, late.upload] };
}

/**
 * Waits until it is done for each of the carriers: by default, when all is judged and no call waits for anything. It gives up after a while, and
 * what is read then tells.
 */
export async function untilReconciled(
  line: Line,
  carrierIds: readonly string[],
  signal: AbortSignal,
  isDone: (status: CarrierReconciliationStatus) => boolean = isSettled,
): Promise<void> {
  const client = line.client(ReconciliationService);
  const until = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]);
  const isUnderWay = async () => !(await readStatuses(client, carrierIds, signal)).every(isDone);
  while ((await isUnderWay()) && !until.aborted) await wait(POLL_MS, undefined, { signal });
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
      carrier: { ...carrier, graceMs: BigInt(GRACE_MS), thresholds: THRESHOLDS },
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

/** Both sides at once: what the one has, the other has within the grace. */
async function exchange(
  { platform, carrier, plan, signal }: ReconciliationStage,
  name: string,
  cdrs: readonly CallDetailRecord[],
  durations: readonly CallDuration[],
): Promise<{ ingest: UploadResult; upload: UploadResult }> {
  const { carrierId } = plan.carrier;
  const shared = { uploadId: `demo-${carrierId}-${name}`, retry: DEMO_RETRY, signal };
  const [ingest, upload] = await Promise.all([
    ingestCdrs(platform.client(CdrService), { ...shared, carrierId, source: arraySource(cdrs) }),
    uploadDurations(carrier.client(DurationService), { ...shared, source: arraySource(durations) }),
  ]);
  return { ingest, upload };
}

function msOf(time: Timestamp | undefined): number {
  return time === undefined ? 0 : timestampMs(time);
}
