import { setTimeout as wait } from "node:timers/promises";
import type { UploadResult } from "../../client/upload.ts";
import { type CallDuration, DurationState } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { RecordKind } from "../../gen/tandem/type/v1/call_pb.js";
import type { NumberOutcome } from "../../gen/tandem/type/v1/phone_number_pb.js";
import type { Finding } from "../../store/verify/verification.ts";
import { verifyAll } from "../../store/verify/verify.ts";
import type { Progress } from "../shared/progress.ts";
import { DemoCarrier } from "./carrier.ts";
import { openCuttable, STILL_MS } from "./cuttable-connection.ts";
import type { DemoExchange } from "./exchange.ts";
import { type CarrierPlan, type DemoPlan, numberOfCdr } from "./plan.ts";
import { DemoPlatform } from "./platform.ts";
import { type CustomerUsage, isCaughtUp, readUsage, reconcileOneMore, untilReconciled } from "./reconciliation.ts";
import { type ReconciliationTrace, readFindings } from "./reconciliation-verdict.ts";

const POLL_MS = 50;

/** What happened to one carrier, as its own logs and its producers' logs say. */
export interface CarrierTrace {
  readonly carrier: DemoCarrier;
  readonly provisioned: readonly NumberOutcome[];
  readonly assigned: readonly NumberOutcome[];
  readonly ingest: UploadResult;
  readonly upload: UploadResult;
  /**
   * The durations that the platform has and that were not taken back, and those that still wait.
   */
  readonly applied: readonly CallDuration[];
  readonly quarantined: readonly CallDuration[];
  readonly mirrorResumes: number;
  readonly consumerResumes: number;
}

/** What happened. */
export interface DemoTrace {
  readonly carriers: readonly CarrierTrace[];
  readonly reconciliation: ReconciliationTrace;
  /** By customer. */
  readonly usage: readonly CustomerUsage[];
  readonly findings: readonly Finding[];
}

interface Stage {
  readonly platform: DemoPlatform;
  readonly plan: DemoPlan;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/**
 * Plays the plan: numbers, then calls, then durations, then the assignment that was late, then the
 * comparison of both sides.
 */
export async function runDemo(
  exchange: DemoExchange,
  plan: DemoPlan,
  progress: Progress,
  signal: AbortSignal,
): Promise<DemoTrace> {
  const { url } = exchange.app;
  await using players = new AsyncDisposableStack();
  const platform = players.use(new DemoPlatform(url, await exchange.platformToken(), plan.sinceMs));
  const stage: Stage = { platform, plan, progress, signal };
  for (const each of plan.carriers) await platform.onboard(each, signal);
  const carriers = await Promise.all(
    plan.carriers.map(async (each) => {
      const line = progress.add(`${each.carrier.carrierId}: calls`, each.cdrs.length);
      const token = await exchange.carrierToken(each.carrier.carrierId);
      const onApplied = (entries: number) => line.set(entries);
      return players.use(new DemoCarrier({ plan: each, url, token, onApplied, signal }));
    }),
  );
  const numbers = await inParallel(carriers, (carrier) => exchangeNumbers(stage, carrier));
  const ingests = await inParallel(carriers, (carrier) => exchangeCalls(stage, carrier));
  const uploads = await inParallel(carriers, (carrier) => exchangeDurations(stage, carrier));
  const lates = await inParallel(carriers, (carrier) => assignLate(stage, carrier));
  const traces = await inParallel(carriers, async (carrier, index): Promise<CarrierTrace> => {
    const { provisioned, assigned } = numbers[index] ?? { provisioned: [], assigned: [] };
    const { late, applied, quarantined } = lates[index] ?? { late: [], applied: [], quarantined: [] };
    const [ingest, upload] = [ingests[index], uploads[index]];
    if (ingest === undefined || upload === undefined) throw new Error("a carrier has no uploads");
    return {
      carrier,
      provisioned,
      assigned: [...assigned, ...late],
      ingest,
      upload,
      applied,
      quarantined,
      ...(await carrier.stop()),
    };
  });
  const compared = await compareRecords(exchange, stage);
  return { carriers: traces, ...compared, findings: await verifyAll(exchange.app.services.db, signal) };
}

async function exchangeNumbers({ platform, plan, signal }: Stage, carrier: DemoCarrier) {
  const provisioned = await carrier.provision(plan.sinceMs, signal);
  const assigned = await platform.assign(carrier.plan, signal);
  await carrier.mirror.position.reaches(highestRevision([...provisioned, ...assigned]), signal);
  return { provisioned, assigned };
}

/** The platform ingests while the carrier follows; both are cut off. */
async function exchangeCalls({ platform, signal }: Stage, carrier: DemoCarrier): Promise<UploadResult> {
  const result = await platform.ingest(carrier.plan, signal);
  await carrier.consumer.position.reaches(BigInt(countOnTime(carrier.plan)), signal);
  return result;
}

async function exchangeDurations({ progress, signal }: Stage, carrier: DemoCarrier): Promise<UploadResult> {
  const line = progress.add(`${carrier.carrierId}: durations`, carrier.plan.durations.length);
  return await carrier.upload(signal, (records) => line.set(records));
}

/**
 * What had waited for the late number is attributed, and reaches the carrier's feed and the
 * platform.
 */
async function assignLate({ platform, plan, signal }: Stage, carrier: DemoCarrier) {
  const late = await platform.assignLate(carrier.plan, signal);
  await carrier.mirror.position.reaches(highestRevision(late), signal);
  await carrier.consumer.position.reaches(BigInt(carrier.plan.cdrs.length), signal);
  const waiting = new Set(
    carrier.plan.durations.filter(({ isReleased }) => isReleased).map(({ record }) => record.recordId),
  );
  const quarantined = await untilReleased(carrier, waiting, plan.sinceMs, signal);
  const listed = await carrier.listDurations(DurationState.APPLIED, plan.sinceMs, signal);
  const applied = listed.filter(({ kind }) => kind !== RecordKind.VOID);
  // Whatever the server has beyond what was expected would be doubled or made up: it must have been
  // seen.
  await carrier.consumer.position.reaches(await carrier.headSequence(signal), signal);
  return { late, applied, quarantined };
}

/**
 * What still waits for a number, once nothing of `waiting` does. It gives up when nothing was
 * released for long, and what waits then tells.
 */
async function untilReleased(
  carrier: DemoCarrier,
  waiting: ReadonlySet<string>,
  sinceMs: number,
  signal: AbortSignal,
): Promise<CallDuration[]> {
  let left = Number.POSITIVE_INFINITY;
  let movedMs = performance.now();
  while (true) {
    const quarantined = await carrier.listDurations(DurationState.QUARANTINED, sinceMs, signal);
    const count = quarantined.filter(({ recordId }) => waiting.has(recordId)).length;
    if (count < left) movedMs = performance.now();
    left = count;
    if (count === 0 || performance.now() - movedMs > STILL_MS) return quarantined;
    await wait(POLL_MS, undefined, { signal });
  }
}

/** What comparing both sides' records comes to, and what customers see of all of it. */
async function compareRecords(exchange: DemoExchange, { plan, progress, signal }: Stage) {
  const { url } = exchange.app;
  const { carrier } = plan.reconciliation;
  using platformLine = openCuttable(url, await exchange.platformToken());
  using carrierLine = openCuttable(url, await exchange.carrierToken(carrier.carrierId));
  progress.say(`${carrier.carrierId}: both sides' records, and late ones after the grace`);
  const players = { platform: platformLine, carrier: carrierLine, plan: plan.reconciliation, signal };
  const uploads = await reconcileOneMore(players);
  const findings = await readFindings(platformLine, plan.reconciliation, signal);
  const carriers = [...plan.carriers.map((each) => each.carrier), carrier];
  const carrierIds = carriers.map(({ carrierId }) => carrierId);
  await untilReconciled(platformLine, carrierIds, signal, { isDone: isCaughtUp });
  const customerIds = carriers.flatMap(({ numbers }) =>
    numbers.flatMap(({ assignment }) => assignment?.customerId ?? []),
  );
  const usage = await readUsage(platformLine, {
    customerIds: [...new Set(customerIds)].sort(),
    sinceMs: Math.min(plan.sinceMs, plan.reconciliation.sinceMs),
    signal,
  });
  return { reconciliation: { plan: plan.reconciliation, uploads, findings }, usage };
}

/** The records that are attributed at once. */
function countOnTime({ cdrs, lateNumber }: CarrierPlan): number {
  return cdrs.filter((cdr) => lateNumber === undefined || numberOfCdr(cdr) !== lateNumber).length;
}

function highestRevision(outcomes: readonly NumberOutcome[]): bigint {
  const revisions = outcomes.map(({ result }) => (result.case === "number" ? Number(result.value.revision) : 0));
  return BigInt(Math.max(0, ...revisions));
}

function inParallel<Item, Result>(
  items: readonly Item[],
  work: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  return Promise.all(items.map(work));
}
