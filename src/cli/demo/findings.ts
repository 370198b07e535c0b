import type { Client } from "@connectrpc/connect";
import { ReconciliationService } from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { type Discrepancy, DiscrepancyCause, DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { type ReconciliationSummaryRow, SummaryDimension } from "../../gen/tandem/type/v1/reconciliation_summary_pb.js";
import type { FoundResult } from "../../simulator/reconciliation/score.ts";
import type { CallTruth } from "../../simulator/reconciliation/truth.ts";
import type { CuttableConnection } from "./cuttable-connection.ts";
import type { ReconciliationPlan } from "./reconciliation-plan.ts";

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
