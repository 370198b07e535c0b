import type { UploadResult } from "../../client/upload.ts";
import { RecordKind } from "../../gen/tandem/type/v1/call_pb.js";
import { NumberState } from "../../gen/tandem/type/v1/phone_number_pb.js";
import {
  RecordIssue,
  RecordIssueSchema,
  type RecordOutcome,
  Verdict,
  VerdictSchema,
} from "../../gen/tandem/type/v1/upload_pb.js";
import { type CheckResult, checkLogs, type ProducedRecord } from "../../simulator/checker.ts";
import { enumName } from "../shared/values.ts";
import type { DemoCarrier } from "./carrier.ts";
import { type DemoDuration, numberOfCdr } from "./plan.ts";
import type { CustomerUsage } from "./reconciliation.ts";
import { judgeReconciliation, type ReconciliationVerdict } from "./reconciliation-verdict.ts";
import type { CarrierTrace, DemoTrace } from "./run.ts";

/** One thing that must hold, over all carriers. */
export interface Check {
  readonly promise: string;
  /** What was found against it; empty: it holds. */
  readonly failures: readonly string[];
}

/** What one carrier's logs prove. */
export interface CarrierVerdict {
  readonly trace: CarrierTrace;
  readonly cdrLog: CheckResult;
  /** Of its durations: acknowledged as accepted, and not there. */
  readonly lostDurations: readonly string[];
  readonly releasedDurations: number;
  readonly releasedCdrs: number;
}

/** The demo's outcome. */
export interface DemoVerdict {
  readonly carriers: readonly CarrierVerdict[];
  readonly reconciliation: ReconciliationVerdict;
  readonly usage: readonly CustomerUsage[];
  readonly checks: readonly Check[];
  readonly ok: boolean;
}

/** Judges what happened by the logs of those to whom it happened, against what was planned. */
export function judge(trace: DemoTrace): DemoVerdict {
  const carriers = trace.carriers.map(judgeCarrier);
  const reconciliation = judgeReconciliation(trace.reconciliation);
  const perCarrier = (find: (carrier: CarrierVerdict) => readonly string[]) =>
    carriers.flatMap((carrier) => find(carrier).map((failure) => `${carrier.trace.carrier.carrierId}: ${failure}`));
  const check = (promise: string, find: (carrier: CarrierVerdict) => readonly string[]): Check => ({
    promise,
    failures: perCarrier(find),
  });
  const checks: Check[] = [
    check("every number is in its carrier's mirror as it was provisioned and assigned", ({ trace: { carrier } }) =>
      mirrorFailures(carrier),
    ),
    check("every call that was acknowledged to the platform was applied by its carrier", ({ cdrLog }) => cdrLog.lost),
    check("no call was applied twice, and none was made up", ({ cdrLog }) => [
      ...cdrLog.duplicated,
      ...cdrLog.unacknowledged,
    ]),
    check("every feed is dense and resumed after each cut where it was", ({ cdrLog }) => cdrLog.gaps),
    check("every call got the verdict that was planned for it", ({ trace: { carrier, ingest } }) =>
      cdrVerdictFailures(carrier, ingest),
    ),
    check("every duration got the verdict that was planned for it", ({ trace: { carrier, upload } }) =>
      durationVerdictFailures(carrier, upload),
    ),
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

function judgeCarrier(trace: CarrierTrace): CarrierVerdict {
  const { carrier, ingest } = trace;
  const { cdrs, lateNumber, durations } = carrier.plan;
  const verdictOf = verdictsByOffset(ingest);
  const isLate = (index: number) => {
    const cdr = cdrs[index];
    return cdr !== undefined && lateNumber !== undefined && numberOfCdr(cdr) === lateNumber;
  };
  const produced = cdrs
    .filter((_, index) => {
      const verdict = verdictOf(index).verdict;
      return verdict === Verdict.ACCEPTED || (verdict === Verdict.QUARANTINED && isLate(index));
    })
    .map(({ recordId, recordDate, revision }): ProducedRecord => ({ recordId, recordDate, revision: revision ?? 1 }));
  const stored = new Set(trace.applied.map(keyOf));
  return {
    trace,
    cdrLog: checkLogs(produced, carrier.consumer.log),
    lostDurations: [...expectedTips(durations)].filter((key) => !stored.has(key)),
    releasedDurations: durations.filter(({ isReleased, record }) => isReleased && stored.has(keyOf(record))).length,
    releasedCdrs: cdrs.filter((_, index) => isLate(index)).length,
  };
}

function mirrorFailures({ plan, mirror }: DemoCarrier): string[] {
  const failures = plan.carrier.numbers.flatMap(({ phoneNumber, assignment }) => {
    const mirrored = mirror.numbers.get(phoneNumber);
    const state = assignment === undefined ? NumberState.PROVISIONED : NumberState.ASSIGNED;
    const isSame = mirrored?.state === state && mirrored.customerId === assignment?.customerId;
    return isSame ? [] : [`${phoneNumber} is ${NumberState[mirrored?.state ?? 0]} of ${mirrored?.customerId}`];
  });
  const extra = mirror.numbers.size - plan.carrier.numbers.length;
  return extra === 0 ? failures : [...failures, `${extra} numbers too many`];
}

function cdrVerdictFailures({ plan }: DemoCarrier, ingest: UploadResult): string[] {
  const verdictOf = verdictsByOffset(ingest);
  return plan.cdrs.flatMap((cdr, offset) => {
    const isLate = plan.lateNumber !== undefined && numberOfCdr(cdr) === plan.lateNumber;
    const expected = isLate ? Verdict.QUARANTINED : Verdict.ACCEPTED;
    const { verdict, message } = verdictOf(offset);
    return verdict === expected ? [] : [`${cdr.recordId} is ${nameOf(verdict)}, not ${nameOf(expected)}: ${message}`];
  });
}

function durationVerdictFailures({ plan }: DemoCarrier, upload: UploadResult): string[] {
  const verdictOf = verdictsByOffset(upload);
  return plan.durations.flatMap(({ record, verdict, issue = RecordIssue.UNSPECIFIED }, offset) => {
    const got = verdictOf(offset);
    if (got.verdict === verdict && got.issue === issue) return [];
    const expected = `${nameOf(verdict)} ${enumName(RecordIssueSchema, issue) ?? ""}`;
    const found = `${nameOf(got.verdict)} ${enumName(RecordIssueSchema, got.issue) ?? ""}`;
    return [`${record.recordId} is ${found}, not ${expected}`];
  });
}

function storedDurationFailures({ trace, lostDurations }: CarrierVerdict): string[] {
  const expected = expectedTips(trace.carrier.plan.durations);
  const keys = trace.applied.map(keyOf);
  return [
    ...lostDurations.map((key) => `${key} is lost`),
    ...keys.filter((key, index) => keys.indexOf(key) !== index).map((key) => `${key} is there twice`),
    ...keys.filter((key) => !expected.has(key)).map((key) => `${key} should not be there`),
  ];
}

function waitingFailures({ trace }: CarrierVerdict): string[] {
  const planned = trace.carrier.plan.durations.filter(({ verdict }) => verdict === Verdict.QUARANTINED);
  const expected = new Set(planned.filter(({ isReleased }) => !isReleased).map(({ record }) => keyOf(record)));
  const waiting = new Set(trace.quarantined.map(keyOf));
  return [
    ...[...waiting].filter((key) => !expected.has(key)).map((key) => `${key} still waits`),
    ...[...expected].filter((key) => !waiting.has(key)).map((key) => `${key} waits no longer`),
  ];
}

function cutFailures({ trace }: CarrierVerdict): string[] {
  const resumes = {
    mirror: trace.mirrorResumes,
    feed: trace.consumerResumes,
    ingest: trace.ingest.resumes,
    upload: trace.upload.resumes,
  };
  return Object.entries(resumes)
    .filter(([, count]) => count === 0)
    .map(([stream]) => `its ${stream} was never cut off`);
}

/** Of each identity that was accepted, the highest revision; none of one that was taken back. */
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

/** What is not among the outcomes was plainly accepted. */
function verdictsByOffset({ outcomes }: UploadResult): (offset: number) => Judged {
  const byOffset = new Map(outcomes.map((outcome) => [Number(outcome.recordOffset), outcome]));
  return (offset) => byOffset.get(offset) ?? { verdict: Verdict.ACCEPTED, issue: RecordIssue.UNSPECIFIED, message: "" };
}

function keyOf({
  recordId,
  recordDate,
  revision,
}: {
  recordId: string;
  recordDate: string;
  revision?: number | undefined;
}): string {
  return `${recordDate}/${recordId}#${revision ?? 1}`;
}

function nameOf(verdict: Verdict): string {
  return enumName(VerdictSchema, verdict) ?? "unspecified";
}
