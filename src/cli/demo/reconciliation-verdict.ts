import type { Client } from "@connectrpc/connect";
import { ReconciliationService } from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { type Discrepancy, DiscrepancyCause, DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { type ReconciliationSummaryRow, SummaryDimension } from "../../gen/tandem/type/v1/reconciliation_summary_pb.js";
import { RecordIssue, type RecordOutcome, Verdict } from "../../gen/tandem/type/v1/upload_pb.js";
import { type FoundResult, type ScoredCall, scoreResults } from "../../simulator/reconciliation/score.ts";
import type { CallTruth } from "../../simulator/reconciliation/truth.ts";
import type { CuttableConnection } from "./cuttable-connection.ts";
import type { ReconciliationPlan } from "./plan.ts";
import type { ReconciledUploads } from "./reconciliation.ts";

/** What happened to the carrier whose calls are compared. */
export interface ReconciliationTrace {
  readonly plan: ReconciliationPlan;
  readonly uploads: ReconciledUploads;
  readonly findings: ReconciliationFindings;
}

/** How often something was planted, and how often that was found. */
interface PlantedCount {
  readonly planted: number;
  readonly found: number;
}

/** What the comparison proves. All but the totals is of unambiguous calls. */
export interface ReconciliationVerdict {
  readonly carrierId: string;
  readonly days: readonly ReconciliationSummaryRow[];
  /** As the summary tells them, over all days. */
  readonly callsByStatus: ReadonlyMap<string, number>;
  readonly callsByCause: ReadonlyMap<string, number>;
  /** Of the planted faults. */
  readonly plantedByStatus: ReadonlyMap<string, PlantedCount>;
  readonly plantedByCause: ReadonlyMap<string, PlantedCount>;
  readonly planted: number;
  readonly found: number;
  readonly wrong: readonly string[];
  /** Records that were not stored at once as they came. */
  readonly refused: readonly string[];
}

/** What a call comes to when nothing is wrong with it. */
const FAULTLESS: readonly string[] = ["MATCHED_EXACT", "WITHIN_TOLERANCE", "MATCHED_UNANSWERED", "NOT_REPORTED"];
/** What no list tells of when it was so from the start: the summary counts it. */
const UNLISTED: readonly string[] = [...FAULTLESS, "VOIDED", "PART_OF_CALL"];

/** Compares what was found with what was planted. */
export function judgeReconciliation({ plan, uploads, findings }: ReconciliationTrace): ReconciliationVerdict {
  const results = [...findings.results, ...silentCalls(plan.truths, findings.results)];
  const score = scoreResults(plan.truths, results);
  const wrongTruths = new Set(score.wrong.map(({ truth }) => truth));
  const faults = plan.truths.filter(isPlantedFault);
  const { days } = findings;
  const callsByStatus = sumBy(
    days.flatMap(({ statusTotals }) => statusTotals).sort((a, b) => a.status - b.status),
    ({ status }) => DiscrepancyStatus[status],
  );
  const callsByCause = sumBy(
    days.flatMap(({ causeTotals }) => causeTotals).sort((a, b) => a.cause - b.cause),
    ({ cause }) => DiscrepancyCause[cause],
  );
  const miscounted = [
    ...compareCounts(
      callsByStatus,
      countNames(results, ({ status }) => [status]),
    ),
    ...compareCounts(
      callsByCause,
      countNames(results, ({ causes }) => causes),
    ),
  ];
  return {
    carrierId: plan.carrier.carrierId,
    days,
    callsByStatus,
    callsByCause,
    plantedByStatus: countPlanted(faults, wrongTruths, ({ status }) => [status]),
    plantedByCause: countPlanted(faults, wrongTruths, ({ causes }) => causes),
    planted: faults.length,
    found: faults.filter((truth) => !wrongTruths.has(truth)).length,
    wrong: [...score.wrong.map(describeWrong), ...miscounted],
    refused: [...uploads.cdrs, ...uploads.durations].flatMap(({ outcomes }) =>
      outcomes.filter(isRefused).map(describeRefused),
    ),
  };
}

/**
 * Calls of which there is nothing to tell but their count: taken to be what they are in truth, and
 * then held against the summary.
 */
function silentCalls(truths: readonly CallTruth[], results: readonly FoundResult[]): FoundResult[] {
  const told = new Set(results.flatMap(recordIdsOf));
  return truths.filter((truth) => UNLISTED.includes(truth.status) && !recordIdsOf(truth).some((id) => told.has(id)));
}

function countPlanted(
  faults: readonly CallTruth[],
  wrong: ReadonlySet<CallTruth | undefined>,
  namesOf: (truth: CallTruth) => readonly string[],
): Map<string, PlantedCount> {
  const planted = countNames(faults, namesOf);
  const found = countNames(
    faults.filter((truth) => !wrong.has(truth)),
    namesOf,
  );
  return new Map([...planted].map(([name, count]) => [name, { planted: count, found: found.get(name) ?? 0 }]));
}

function countNames<Call>(calls: readonly Call[], namesOf: (call: Call) => readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of calls.flatMap(namesOf)) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
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

function sumBy<Total extends { callCount: bigint }>(
  totals: readonly Total[],
  nameOf: (total: Total) => string,
): Map<string, number> {
  const sums = new Map<string, number>();
  for (const total of totals) {
    const name = nameOf(total);
    sums.set(name, (sums.get(name) ?? 0) + Number(total.callCount));
  }
  return sums;
}

function describeWrong({ truth, found }: ScoredCall): string {
  const recordId = [truth, found].map((call) => call?.platformRecordId ?? call?.carrierRecordIds[0]).find(Boolean);
  return `${recordId} (${truth?.planted ?? "not planted"}) is ${describe(found)}, not ${describe(truth)}`;
}

function describe(call: { status: string; causes: readonly string[] } | undefined): string {
  return call === undefined ? "nothing" : [call.status, ...call.causes].join(" ");
}

function isRefused({ verdict }: RecordOutcome): boolean {
  return verdict !== Verdict.ACCEPTED;
}

function describeRefused({ recordId, verdict, issue, message }: RecordOutcome): string {
  return `${recordId} is ${Verdict[verdict]} ${RecordIssue[issue]}: ${message}`;
}

/** How many calls are asked about at once. */
const PARALLEL = 8;

/** What the platform is told of a carrier's calls. */
export interface ReconciliationFindings {
  /**
   * Of the calls that disagree or did, and of those where only asking tells which record is whose.
   */
  readonly results: readonly FoundResult[];
  /** By day, of all calls. */
  readonly days: readonly ReconciliationSummaryRow[];
}

/**
 * Reads what reconciliation found: the discrepancies, the days, and what became of calls that can
 * be taken for others.
 */
export async function readFindings(
  line: CuttableConnection,
  plan: ReconciliationPlan,
  signal: AbortSignal,
): Promise<ReconciliationFindings> {
  const client = line.client(ReconciliationService);
  const results = (await listAll(client, plan, signal)).map(foundResult);
  const originals = new Set(plan.truths.map(({ copyOf }) => copyOf));
  const unsure = plan.truths.filter(
    (truth) => truth.isAmbiguous || truth.copyOf !== undefined || recordIdsOf(truth).some((id) => originals.has(id)),
  );
  const targets = [
    unsure.flatMap(({ platformRecordId: value }) =>
      value === undefined ? [] : { case: "platformRecordId" as const, value },
    ),
    unsure.flatMap((truth) => truth.carrierRecordIds.map((value) => ({ case: "carrierRecordId" as const, value }))),
  ];
  for (const side of targets) {
    // What a result tells of need not be asked for from its other side.
    const known = new Set(results.flatMap(recordIdsOf));
    const unknown = side.filter(({ value }) => !known.has(value));
    results.push(...(await explainAll(client, plan, unknown, signal)).map(foundResult));
  }
  return { results, days: await readDays(client, plan, signal) };
}

async function listAll(
  client: Client<typeof ReconciliationService>,
  { carrier, startDate, endDate }: ReconciliationPlan,
  signal: AbortSignal,
): Promise<Discrepancy[]> {
  const found: Discrepancy[] = [];
  let pageToken = "";
  do {
    const request = { carrierId: carrier.carrierId, startDate, endDate, pageSize: 1_000, pageToken };
    const page = await client.listDiscrepancies(request, { signal });
    found.push(...page.discrepancies);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  // Of a record that stood alone before its counterpart came, the call goes on in the counterpart's
  // row.
  return found.filter(({ mergedIntoDiscrepancyId }) => mergedIntoDiscrepancyId === undefined);
}

async function explainAll(
  client: Client<typeof ReconciliationService>,
  { carrier }: ReconciliationPlan,
  targets: readonly { case: "platformRecordId" | "carrierRecordId"; value: string }[],
  signal: AbortSignal,
): Promise<Discrepancy[]> {
  const found: Discrepancy[] = [];
  const left = targets.values();
  const work = async () => {
    for (const target of left) {
      const { explanations } = await client.explainCall({ carrierId: carrier.carrierId, target }, { signal });
      for (const { result } of explanations) if (result !== undefined) found.push(result);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  return found;
}

async function readDays(
  client: Client<typeof ReconciliationService>,
  { carrier, startDate, endDate }: ReconciliationPlan,
  signal: AbortSignal,
): Promise<ReconciliationSummaryRow[]> {
  const groupBy = [SummaryDimension.DAY];
  const request = { carrierId: carrier.carrierId, startDate, endDate, groupBy };
  return (await client.getReconciliationSummary(request, { signal })).rows;
}

/** The records of a call, of both sides. */
export function recordIdsOf({ platformRecordId, carrierRecordIds }: FoundResult | CallTruth): string[] {
  return platformRecordId === undefined ? [...carrierRecordIds] : [platformRecordId, ...carrierRecordIds];
}

function foundResult({ platformRecord, carrierRecords, status, findings }: Discrepancy): FoundResult {
  return {
    platformRecordId: platformRecord?.recordId,
    carrierRecordIds: carrierRecords.map(({ recordId }) => recordId),
    status: DiscrepancyStatus[status],
    causes: findings.map(({ cause }) => DiscrepancyCause[cause]),
  };
}
