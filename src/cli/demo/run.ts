import { CdrService } from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationState } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { RecordKind } from "../../gen/tandem/type/v1/call_pb.js";
import type { NumberOutcome } from "../../gen/tandem/type/v1/phone_number_pb.js";
import { assignedNumbers } from "../../simulator/world.ts";
import { verifyAll } from "../../store/verify/verify.ts";
import type { Progress } from "../shared/progress.ts";
import { followCalls, listDurations, mirrorNumbers, provisionNumbers, uploadPlanned } from "./carrier.ts";
import type { DemoExchange } from "./exchange.ts";
import { type Line, openLine, untilDone } from "./line.ts";
import { type CarrierPlan, type DemoPlan, numberOfCdr } from "./plan.ts";
import { assignNumbers, createCarrier, ingestCalls } from "./platform.ts";
import { isCaughtUp, readUsage, reconcileOneMore, untilReconciled } from "./reconciliation.ts";
import { readFindings } from "./reconciliation-verdict.ts";

/** What happened. */
export type DemoTrace = Awaited<ReturnType<typeof runDemo>>;

/** What happened to one carrier, as its own logs and its producers' logs say. */
export type CarrierTrace = DemoTrace["carriers"][number];

interface Stage {
  readonly exchange: DemoExchange;
  readonly plan: DemoPlan;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Plays each carrier's numbers, calls and durations, then compares both sides' records. */
export async function runDemo(exchange: DemoExchange, plan: DemoPlan, progress: Progress, signal: AbortSignal) {
  const stage: Stage = { exchange, plan, progress, signal };
  const token = await exchange.platformToken();
  using platform = openLine(exchange.app.url, token, signal);
  for (const { carrier } of plan.carriers) await createCarrier(platform, carrier);
  const carriers = await Promise.all(plan.carriers.map((each) => playCarrier(stage, platform, each)));
  const compared = await compareRecords(stage, platform);
  return { carriers, ...compared, findings: await verifyAll(exchange.app.services.db, signal) };
}

/**
 * Plays one carrier: numbers, calls, durations, then the late assignment. Each of its streams has a
 * line of its own, which is cut on the way.
 */
async function playCarrier(stage: Stage, platform: Line, own: CarrierPlan) {
  const { plan, progress, signal } = stage;
  const { carrier, cdrs, durations, lateNumber } = own;
  using streams = await openStreams(stage, own);
  const { line, open, mirror, consumer } = streams;
  const reaches = (feed: { readonly sequence: bigint }, sequence: bigint) =>
    untilDone(() => feed.sequence, { isDone: (now) => now >= sequence, progressOf: String, signal });
  const assign = (what: "assign" | "assign-late", isMeant: (phoneNumber: string) => boolean) => {
    const numbers = assignedNumbers(carrier).filter(({ phoneNumber }) => isMeant(phoneNumber));
    return assignNumbers(platform, carrier, what, { numbers, sinceMs: plan.sinceMs });
  };

  const provisioned = await provisionNumbers(line, carrier, plan.sinceMs);
  const assigned = await assign("assign", (phoneNumber) => phoneNumber !== lateNumber);
  await reaches(mirror, highestRevision([...provisioned, ...assigned]));

  // The platform ingests while the carrier follows; both are cut off.
  const ingest = await ingestCalls(open("platform"), own);
  const onTime = cdrs.filter((cdr) => lateNumber === undefined || numberOfCdr(cdr) !== lateNumber);
  await reaches(consumer, BigInt(onTime.length));

  const durationsLine = progress.add(`${carrier.carrierId}: durations`, durations.length);
  const upload = await uploadPlanned(open("carrier"), own, (records) => durationsLine.set(records));

  // What waited for the late number is attributed, and reaches the carrier's feed and the platform.
  const late = await assign("assign-late", (phoneNumber) => phoneNumber === lateNumber);
  await reaches(mirror, highestRevision(late));
  await reaches(consumer, BigInt(cdrs.length));
  const quarantined = await untilReleased(line, own, plan.sinceMs);
  const applied = await listDurations(line, DurationState.APPLIED, plan.sinceMs);
  // Whatever else the server has would be doubled or made up: the carrier must have seen it.
  await reaches(consumer, (await line.client(CdrService).getCdrFeed({})).headSequence);
  return {
    plan: own,
    numbers: mirror.numbers,
    log: consumer.log,
    provisioned,
    assigned: [...assigned, ...late],
    ingest,
    upload,
    /** The durations that the platform has and that were not taken back. */
    applied: applied.filter(({ kind }) => kind !== RecordKind.VOID),
    /** The durations that still wait. */
    quarantined,
    ...(await streams.stop()),
  };
}

/** What a carrier follows. */
async function openStreams({ exchange, progress, signal }: Stage, { carrier, cdrs }: CarrierPlan) {
  const tokens = {
    carrier: await exchange.carrierToken(carrier.carrierId),
    platform: await exchange.platformToken(),
  };
  const lines = new DisposableStack();
  const stopped = new AbortController();
  const until = AbortSignal.any([signal, stopped.signal]);
  const open = (by: keyof typeof tokens) => lines.use(openLine(exchange.app.url, tokens[by], until));
  const callsLine = progress.add(`${carrier.carrierId}: calls`, cdrs.length);
  const mirror = mirrorNumbers(open("carrier"), 2 * carrier.numbers.length);
  const consumer = followCalls(open("carrier"), cdrs.length, (entries) => callsLine.set(entries));
  return {
    /** For single calls. */
    line: open("carrier"),
    open,
    mirror,
    consumer,
    /** Stops following, and returns how often each stream resumed. */
    stop: async () => {
      stopped.abort();
      return { mirrorResumes: await mirror.resumes, consumerResumes: await consumer.resumes };
    },
    [Symbol.dispose]: () => {
      stopped.abort();
      lines.dispose();
    },
  };
}

/** Waits until nothing is left to release, and returns what still waits for a number. */
function untilReleased(line: Line, { durations }: CarrierPlan, sinceMs: number) {
  const released = durations.filter(({ isReleased }) => isReleased).map(({ record }) => record.recordId);
  const waiting = new Set(released);
  const countOf = (found: readonly { recordId: string }[]) =>
    found.filter(({ recordId }) => waiting.has(recordId)).length;
  return untilDone(() => listDurations(line, DurationState.QUARANTINED, sinceMs), {
    isDone: (found) => countOf(found) === 0,
    progressOf: (found) => String(countOf(found)),
    signal: line.signal,
  });
}

/** What comparing both sides' records comes to, and what customers see of all of it. */
async function compareRecords({ exchange, plan, progress, signal }: Stage, platform: Line) {
  const { reconciliation } = plan;
  const { carrier } = reconciliation;
  using carrierLine = openLine(exchange.app.url, await exchange.carrierToken(carrier.carrierId), signal);
  progress.say(`${carrier.carrierId}: both sides' records, and late ones after the grace`);
  const uploads = await reconcileOneMore({ platform, carrier: carrierLine, plan: reconciliation });
  const findings = await readFindings(platform, reconciliation);
  const carriers = [...plan.carriers.map((each) => each.carrier), carrier];
  const carrierIds = carriers.map(({ carrierId }) => carrierId);
  await untilReconciled(platform, carrierIds, { isDone: isCaughtUp });
  const customerIds = carriers.flatMap((each) => assignedNumbers(each).map(({ assignment }) => assignment.customerId));
  const usage = await readUsage(platform, {
    customerIds: [...new Set(customerIds)].sort(),
    sinceMs: Math.min(plan.sinceMs, reconciliation.sinceMs),
  });
  return { reconciliation: { plan: reconciliation, uploads, findings }, usage };
}

function highestRevision(outcomes: readonly NumberOutcome[]): bigint {
  const revisions = outcomes.map(({ result }) => (result.case === "number" ? Number(result.value.revision) : 0));
  return BigInt(Math.max(0, ...revisions));
}
