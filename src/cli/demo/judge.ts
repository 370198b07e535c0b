import type { UploadResult } from "../../client/upload.ts";
import type { CallDetailRecord } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { RecordKind } from "../../gen/tandem/type/v1/call_pb.js";
import { type NumberOutcome, NumberState } from "../../gen/tandem/type/v1/phone_number_pb.js";
import {
  RecordIssue,
  RecordIssueSchema,
  type RecordOutcome,
  Verdict,
  VerdictSchema,
} from "../../gen/tandem/type/v1/upload_pb.js";
import { checkLogs } from "../../simulator/checker.ts";
import { enumName } from "../shared/values.ts";
import { type CarrierPlan, type DemoDuration, numberOfCdr } from "./plan.ts";
import { judgeReconciliation } from "./reconciliation-verdict.ts";
import type { CarrierTrace, DemoTrace } from "./run.ts";

/** One thing that must hold, over all carriers. */
export interface Check {
  readonly promise: string;
  /** What was found against it; empty: it holds. */
  readonly failures: readonly string[];
}

/** What one carrier's logs prove. */
export type CarrierVerdict = ReturnType<typeof judgeCarrier>;

/** The demo's outcome. */
export type DemoVerdict = ReturnType<typeof judge>;

/** Judges what happened by the logs of those to whom it happened, against what was planned. */
export function judge(trace: DemoTrace) {
  const carriers = trace.carriers.map(judgeCarrier);
  const reconciliation = judgeReconciliation(trace.reconciliation);
  const check = (promise: string, find: (carrier: CarrierVerdict) => readonly string[]): Check => ({
    promise,
    failures: carriers.flatMap((each) =>
      find(each).map((failure) => `${each.trace.plan.carrier.carrierId}: ${failure}`),
    ),
  });
  const checks: Check[] = [
    check("every number is in its carrier's mirror as it was provisioned and assigned", mirrorFailures),
    check("every call that was acknowledged to the platform was applied by its carrier", ({ cdrLog }) => cdrLog.lost),
    check("no call was applied twice, and none was made up", ({ cdrLog }) => [
      ...cdrLog.duplicated,
      ...cdrLog.unacknowledged,
    ]),
    check("every feed is dense and resumed after each cut where it was", ({ cdrLog }) => cdrLog.gaps),
    check("every call got the verdict that was planned for it", cdrVerdictFailures),
    check("every duration got the verdict that was planned for it", durationVerdictFailures),
    check(
      "every accepted duration is stored once, in its latest revision; voided ones are gone",
      storedDurationFailures,
    ),
    check("what waited for a number was released when it was assigned; the rest still waits", waitingFailures),
    check("every stream was cut off and came back", cutFailures),
    {
      promise: "reconciliation found every planted fault and cause, and none that was not planted",
      failures: [...reconciliation.refused, ...reconciliation.wrong],
    },
    {
      promise: "`tandem verify` finds all stored data consistent",
      failures: trace.findings.map(({ carrierId, check, detail }) => `${carrierId}: ${check}: ${detail}`),
    },
  ];
  const ok = checks.every(({ failures }) => failures.length === 0);
  return { carriers, reconciliation, usage: trace.usage, checks, ok };
}

function judgeCarrier(trace: CarrierTrace) {
  const { cdrs, durations } = trace.plan;
  const verdictOf = verdictsByOffset(trace.ingest);
  const isLate = lateIn(trace.plan);
  const isProduced = (cdr: CallDetailRecord, offset: number) => {
    const { verdict } = verdictOf(offset);
    return verdict === Verdict.ACCEPTED || (verdict === Verdict.QUARANTINED && isLate(cdr));
  };
  const produced = cdrs.filter(isProduced).map((cdr) => ({ ...cdr, revision: cdr.revision ?? 1 }));
  const stored = new Set(trace.applied.map(keyOf));
  const cdrLog = checkLogs(produced, trace.log);
  const lostDurations = [...expectedTips(durations)].filter((key) => !stored.has(key));
  const { finalOffset, counts } = trace.upload.receipt;
  return {
    trace,
    cdrLog,
    /** Acknowledged as accepted, and not there. */
    lostDurations,
    /** By the story's titles. */
    figures: {
      numbers: {
        provisioned: countDone(trace.provisioned),
        assigned: countDone(trace.assigned),
        mirrored: trace.numbers.size,
        "cut off": trace.mirrorResumes,
      },
      calls: {
        /** That the platform was told are safe. */
        calls: countCalls(cdrs.slice(0, Number(trace.ingest.receipt.finalOffset))),
        delivered: countCalls(trace.log.flatMap((run) => run.entries)),
        entries: cdrLog.appliedCount,
        released: cdrs.filter(isLate).length,
        lost: cdrLog.lost.length,
        doubled: cdrLog.duplicated.length,
        "cut off": trace.consumerResumes + trace.ingest.resumes,
      },
      durations: {
        sent: Number(finalOffset),
        accepted: Number(counts?.accepted ?? 0n),
        duplicate: Number(counts?.duplicate ?? 0n),
        conflict: Number(counts?.conflict ?? 0n),
        rejected: Number(counts?.rejected ?? 0n),
        quarantined: Number(counts?.quarantined ?? 0n),
        released: durations.filter(({ isReleased, record }) => isReleased && stored.has(keyOf(record))).length,
        lost: lostDurations.length,
        "cut off": trace.upload.resumes,
      },
    },
  };
}

function countDone(outcomes: readonly NumberOutcome[]): number {
  return outcomes.filter(({ result }) => result.case === "number").length;
}

/** How many calls there are, not revisions. */
function countCalls(records: readonly { readonly recordDate: string; readonly recordId: string }[]): number {
  return new Set(records.map(({ recordDate, recordId }) => `${recordDate}/${recordId}`)).size;
}

/** Whether a record waits for the number that is assigned late. */
function lateIn({ lateNumber }: CarrierPlan): (cdr: CallDetailRecord) => boolean {
  return (cdr) => lateNumber !== undefined && numberOfCdr(cdr) === lateNumber;
}

function mirrorFailures({ trace: { plan, numbers } }: CarrierVerdict): string[] {
  const failures = plan.carrier.numbers.flatMap(({ phoneNumber, assignment }) => {
    const mirrored = numbers.get(phoneNumber);
    const state = assignment === undefined ? NumberState.PROVISIONED : NumberState.ASSIGNED;
    const isSame = mirrored?.state === state && mirrored.customerId === assignment?.customerId;
    return isSame ? [] : [`${phoneNumber} is ${NumberState[mirrored?.state ?? 0]} of ${mirrored?.customerId}`];
  });
  const extra = numbers.size - plan.carrier.numbers.length;
  return extra === 0 ? failures : [...failures, `${extra} numbers too many`];
}

function cdrVerdictFailures({ trace: { plan, ingest } }: CarrierVerdict): string[] {
  const verdictOf = verdictsByOffset(ingest);
  const isLate = lateIn(plan);
  return plan.cdrs.flatMap((cdr, offset) => {
    const expected = isLate(cdr) ? Verdict.QUARANTINED : Verdict.ACCEPTED;
    const { verdict, message } = verdictOf(offset);
    return verdict === expected ? [] : [`${cdr.recordId} is ${nameOf(verdict)}, not ${nameOf(expected)}: ${message}`];
  });
}

function durationVerdictFailures({ trace: { plan, upload } }: CarrierVerdict): string[] {
  const verdictOf = verdictsByOffset(upload);
  const describe = (verdict: Verdict, issue: RecordIssue) =>
    `${nameOf(verdict)} ${enumName(RecordIssueSchema, issue) ?? ""}`;
  return plan.durations.flatMap(({ record, verdict, issue = RecordIssue.UNSPECIFIED }, offset) => {
    const got = verdictOf(offset);
    if (got.verdict === verdict && got.issue === issue) return [];
    return [`${record.recordId} is ${describe(got.verdict, got.issue)}, not ${describe(verdict, issue)}`];
  });
}

function storedDurationFailures({ trace, lostDurations }: CarrierVerdict): string[] {
  const expected = expectedTips(trace.plan.durations);
  const keys = trace.applied.map(keyOf);
  return [
    ...lostDurations.map((key) => `${key} is lost`),
    ...keys.filter((key, index) => keys.indexOf(key) !== index).map((key) => `${key} is there twice`),
    ...keys.filter((key) => !expected.has(key)).map((key) => `${key} should not be there`),
  ];
}

function waitingFailures({ trace }: CarrierVerdict): string[] {
  const planned = trace.plan.durations.filter(({ verdict }) => verdict === Verdict.QUARANTINED);
  const expected = new Set(planned.filter(({ isReleased }) => !isReleased).map(({ record }) => keyOf(record)));
  const waiting = new Set(trace.quarantined.map(keyOf));
  return [
    ...[...waiting].filter((key) => !expected.has(key)).map((key) => `${key} still waits`),
    ...[...expected].filter((key) => !waiting.has(key)).map((key) => `${key} waits no longer`),
  ];
}

function cutFailures({ trace: { mirrorResumes: mirror, consumerResumes: feed, ingest, upload } }: CarrierVerdict) {
  return Object.entries({ mirror, feed, ingest: ingest.resumes, upload: upload.resumes })
    .filter(([, count]) => count === 0)
    .map(([stream]) => `its ${stream} was never cut off`);
}

/** The highest accepted revision of each identity, without voided ones. */
function expectedTips(durations: readonly DemoDuration[]): Set<string> {
  const tips = new Map<string, DemoDuration>();
  for (const duration of durations) {
    if (duration.verdict !== Verdict.ACCEPTED && !duration.isReleased) continue;
    const identity = `${duration.record.recordDate}/${duration.record.recordId}`;
    if ((duration.record.revision ?? 1) > (tips.get(identity)?.record.revision ?? 0)) tips.set(identity, duration);
  }
  const standing = [...tips.values()].filter(({ record }) => record.kind !== RecordKind.VOID);
  return new Set(standing.map(({ record }) => keyOf(record)));
}

type Judged = Pick<RecordOutcome, "verdict" | "issue" | "message">;

/** A record without an outcome was plainly accepted. */
function verdictsByOffset({ outcomes }: UploadResult): (offset: number) => Judged {
  const byOffset = new Map(outcomes.map((outcome) => [Number(outcome.recordOffset), outcome]));
  return (offset) => byOffset.get(offset) ?? { verdict: Verdict.ACCEPTED, issue: RecordIssue.UNSPECIFIED, message: "" };
}

function keyOf({
  recordId,
  recordDate,
  revision,
}: Pick<CallDetailRecord, "recordId" | "recordDate" | "revision">): string {
  return `${recordDate}/${recordId}#${revision ?? 1}`;
}

function nameOf(verdict: Verdict): string {
  return enumName(VerdictSchema, verdict) ?? "unspecified";
}
