import type { UploadResult } from "../../client/upload.ts";
import { ReconciliationService } from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { type Discrepancy, DiscrepancyCause, DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { type ReconciliationSummaryRow, SummaryDimension } from "../../gen/tandem/type/v1/reconciliation_summary_pb.js";
import { RecordIssue, Verdict } from "../../gen/tandem/type/v1/upload_pb.js";
import type { CallTruth } from "../../simulator/reconciliation/truth.ts";
import { type FoundResult, findWrongCalls, type ScoredCall } from "../../simulator/reconciliation/wrong-calls.ts";
import { readPages } from "../shared/pages.ts";
import { countNames } from "./counts.ts";
import type { Line } from "./line.ts";
import type { ReconciliationPlan } from "./plan.ts";

/** What happened to the one more carrier. */
interface ReconciliationTrace {
  readonly plan: ReconciliationPlan;
  readonly uploads: readonly UploadResult[];
  readonly findings: Awaited<ReturnType<typeof readFindings>>;
}

/** What the comparison proves. All but the totals is of unambiguous calls. */
export type ReconciliationVerdict = ReturnType<typeof judgeReconciliation>;

/** What a call comes to when nothing is wrong with it. */
const FAULTLESS: readonly string[] = ["MATCHED_EXACT", "WITHIN_TOLERANCE", "MATCHED_UNANSWERED", "NOT_REPORTED"];
/** What only the summary counts if it was so from the start. */
const UNLISTED: readonly string[] = [...FAULTLESS, "VOIDED", "PART_OF_CALL"];

/** Compares what was found with what was planted. */
export function judgeReconciliation({ plan, uploads, findings }: ReconciliationTrace) {
  const results = [...findings.results, ...silentCalls(plan.truths, findings.results)];
  const wrongCalls = findWrongCalls(plan.truths, results);
  const wrongTruths = new Set(wrongCalls.map(({ truth }) => truth));
  const faults = plan.truths.filter(isPlantedFault);
  const found = faults.filter((truth) => !wrongTruths.has(truth));
  const { days } = findings;
  const callCountOf = ({ callCount }: { readonly callCount: bigint }) => Number(callCount);
  const callsByStatus = countNames(
    days.flatMap(({ statusTotals }) => statusTotals).sort((a, b) => a.status - b.status),
    ({ status }) => [DiscrepancyStatus[status]],
    callCountOf,
  );
  const callsByCause = countNames(
    days.flatMap(({ causeTotals }) => causeTotals).sort((a, b) => a.cause - b.cause),
    ({ cause }) => [DiscrepancyCause[cause]],
    callCountOf,
  );
  const miscounted = [
    ...compareCounts(callsByStatus, countNames(results, statusOf)),
    ...compareCounts(callsByCause, countNames(results, causesOf)),
  ];
  return {
    carrierId: plan.carrier.carrierId,
    days,
    /** As the summary tells them, over all days. */
    callsByStatus,
    callsByCause,
    plantedByStatus: countPlanted(faults, found, statusOf),
    plantedByCause: countPlanted(faults, found, causesOf),
    planted: faults.length,
    found: found.length,
    wrong: [...wrongCalls.map(describeWrong), ...miscounted],
    /** Records that were not stored at once as they came. */
    refused: uploads.flatMap(describeRefused),
  };
}

/** Calls that only the summary counts: taken at their truth, then compared with it. */
function silentCalls(truths: readonly CallTruth[], results: readonly FoundResult[]): FoundResult[] {
  const told = new Set(results.flatMap(recordIdsOf));
  return truths.filter((truth) => UNLISTED.includes(truth.status) && !recordIdsOf(truth).some((id) => told.has(id)));
}

function statusOf({ status }: FoundResult): string[] {
  return [status];
}

function causesOf({ causes }: FoundResult): readonly string[] {
  return causes;
}

function countPlanted(
  faults: readonly CallTruth[],
  found: readonly CallTruth[],
  namesOf: (truth: CallTruth) => readonly string[],
) {
  const foundCounts = countNames(found, namesOf);
  const counts = [...countNames(faults, namesOf)];
  return new Map(counts.map(([name, planted]) => [name, { planted, found: foundCounts.get(name) ?? 0 }]));
}

/** One failure for each call that the summary counts too much or too little. */
function compareCounts(summed: ReadonlyMap<string, number>, told: ReadonlyMap<string, number>): string[] {
  return [...new Set([...summed.keys(), ...told.keys()])].flatMap((name) => {
    const [inSummary, expected] = [summed.get(name) ?? 0, told.get(name) ?? 0];
    const failure = `the summary counts ${inSummary} calls as ${name}, not ${expected}`;
    return Array.from({ length: Math.abs(inSummary - expected) }, () => failure);
  });
}

function isPlantedFault({ isAmbiguous, status, causes }: CallTruth): boolean {
  return !isAmbiguous && (causes.length > 0 || !FAULTLESS.includes(status));
}

function describeWrong({ truth, found }: ScoredCall): string {
  const recordId = [truth, found].map((call) => call?.platformRecordId ?? call?.carrierRecordIds[0]).find(Boolean);
  return `${recordId} (${truth?.planted ?? "not planted"}) is ${describe(found)}, not ${describe(truth)}`;
}

function describe(call: { status: string; causes: readonly string[] } | undefined): string {
  return call === undefined ? "nothing" : [call.status, ...call.causes].join(" ");
}

function describeRefused({ outcomes }: UploadResult): string[] {
  return outcomes
    .filter(({ verdict }) => verdict !== Verdict.ACCEPTED)
    .map(
      ({ recordId, verdict, issue, message }) => `${recordId} is ${Verdict[verdict]} ${RecordIssue[issue]}: ${message}`,
    );
}

/** How many calls are asked about at once. */
const PARALLEL = 8;

/** Reads the discrepancies, the days, and what became of calls that can be taken for others. */
export async function readFindings(
  line: Line,
  { carrier: { carrierId }, startDate, endDate, truths }: ReconciliationPlan,
): Promise<{ results: FoundResult[]; days: ReconciliationSummaryRow[] }> {
  const client = line.client(ReconciliationService);
  const asked = { carrierId, startDate, endDate };
  const { items: listed } = await readPages(
    (page) => client.listDiscrepancies({ ...asked, ...page }),
    (page) => page.discrepancies,
  );
  // A record that stood alone before its counterpart came goes on in the counterpart's row.
  const results = listed
    .filter(({ mergedIntoDiscrepancyId }) => mergedIntoDiscrepancyId === undefined)
    .map(foundResult);
  const originals = new Set(truths.map(({ copyOf }) => copyOf));
  const unsure = truths.filter(
    (truth) => truth.isAmbiguous || truth.copyOf !== undefined || recordIdsOf(truth).some((id) => originals.has(id)),
  );
  for (const side of ["platformRecordId", "carrierRecordId"] as const) {
    const ids = unsure.flatMap((call) => (side === "platformRecordId" ? platformIdOf(call) : call.carrierRecordIds));
    // What a result tells of need not be asked for from its other side.
    const known = new Set(results.flatMap(recordIdsOf));
    const unknown = ids.filter((id) => !known.has(id)).values();
    const explain = async () => {
      for (const value of unknown) {
        const { explanations } = await client.explainCall({ carrierId, target: { case: side, value } });
        for (const { result } of explanations) if (result !== undefined) results.push(foundResult(result));
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, explain));
  }
  const summary = await client.getReconciliationSummary({ ...asked, groupBy: [SummaryDimension.DAY] });
  return { results, days: summary.rows };
}

/** The records of a call, of both sides. */
function recordIdsOf(call: FoundResult): string[] {
  return [...platformIdOf(call), ...call.carrierRecordIds];
}

function platformIdOf({ platformRecordId }: FoundResult): string[] {
  return platformRecordId === undefined ? [] : [platformRecordId];
}

function foundResult({ platformRecord, carrierRecords, status, findings }: Discrepancy): FoundResult {
  return {
    platformRecordId: platformRecord?.recordId,
    carrierRecordIds: carrierRecords.map(({ recordId }) => recordId),
    status: DiscrepancyStatus[status],
    causes: findings.map(({ cause }) => DiscrepancyCause[cause]),
  };
}
