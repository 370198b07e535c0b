import { tellLength } from "../../domain/matching/explain/evidence.ts";
import { PLATFORM_SIDE } from "../../domain/record-kind.ts";
import type { RefusedCandidate } from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import {
  type CallMeasure,
  type Discrepancy,
  DiscrepancyCause,
  DiscrepancyCauseSchema,
  DiscrepancyStatus,
  MatchedBy,
  MatchedBySchema,
} from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { enumName } from "../shared/values.ts";
import { formatCauses, formatCircumstances, formatReasons, formatStatus, isAgreeing } from "./print-discrepancies.ts";

/**
 * The result of an explained call in one line. `whole` is the carrier's record of the call of which
 * the platform's record is a later part.
 */
export function formatHeadline(result: Discrepancy, whole: RefusedCandidate | undefined): string {
  const agrees = isAgreeing(result);
  const unknown = formatUnknownLength(result);
  const causes = withSide(agrees ? formatCauses(result) : formatReasons(result), result);
  const beside = withSide(agrees ? "" : formatCircumstances(result), result);
  return [
    `${formatStatus(result, "earlier a discrepancy, now resolved")}${unknown}`,
    formatKin(result, whole),
    causes === "" || (unknown !== "" && causes === UNKNOWN) ? "" : `${agrees ? "note:" : introduce(causes)} ${causes}`,
    beside === "" ? "" : `note: ${beside}`,
    formatLengthDelta(result),
    formatMatchedBy(result.matchedBy),
  ]
    .filter(Boolean)
    .join(", ");
}

/** Of what the record is a copy or a part. */
function formatKin({ status, duplicateOf, candidateCount }: Discrepancy, whole: RefusedCandidate | undefined): string {
  if (candidateCount !== undefined)
    return `at least ${candidateCount} records of both sides could pair with each other`;
  if (duplicateOf === undefined) return "";
  if (status !== DiscrepancyStatus.PART_OF_CALL) return `a copy of ${duplicateOf.recordId}`;
  const paired = whole?.record ? `, which is paired with ${whole.record.recordId}` : "";
  return `counted with ${duplicateOf.recordId}${paired}`;
}

/** Names of causes that leave open whose or what, said in full. */
function withSide(causes: string, { findings }: Discrepancy): string {
  const late = findings.find(({ cause }) => cause === DiscrepancyCause.LATE);
  const whose = late?.suspectedSide === PLATFORM_SIDE ? "platform's" : "carrier's";
  return causes
    .replace(/\blate\b/, `${whose} record came ${formatLength(late?.lateByMs)} after its deadline`)
    .replace(/\bsplit\b/, "a missing part")
    .replace(/\bclock-skew\b/, "the clocks differ")
    .replace(/\bzone-shift\b/, "carrier's time zone is wrong")
    .replace(/\bnumbers-differ\b/, "the numbers differ");
}

/** The difference of the lengths, or of the bills where only these are known. */
function formatLengthDelta({ deltas, carrierMeasure, carrierRecords }: Discrepancy): string {
  const { connectedDurationDeltaMs: connectedMs, billedDurationDeltaMs: billedMs } = deltas ?? {};
  const more = (ms: bigint) => `${formatLength(ms)} ${ms < 0n ? "less" : "more"}`;
  if (connectedMs !== undefined) {
    const who = carrierRecords.length > 1 ? "the carrier's records together count" : "the carrier counts";
    return connectedMs === 0n ? "both sides count the same" : `${who} ${more(connectedMs)}`;
  }
  const billedS = carrierMeasure?.billedDurationS;
  if (billedMs === undefined || billedS === undefined) return "";
  const bills = `the carrier bills ${formatLength(billedS * 1_000n)}`;
  const ruleGives = formatLength(billedS * 1_000n - billedMs);
  return billedMs === 0n
    ? `${bills}, as the rule gives`
    : `${bills}, ${more(billedMs)} than the rule gives (${ruleGives})`;
}

/** Of answered calls that cannot be compared: whose length is not known. */
function formatUnknownLength({ status, platformMeasure, carrierMeasure }: Discrepancy): string {
  if (status !== DiscrepancyStatus.DURATION_MISMATCH || !platformMeasure || !carrierMeasure) return "";
  const isUnknown = (measure: CallMeasure) =>
    measure.connectedDurationMs === undefined && measure.billedDurationS === undefined;
  const [isPlatform, isCarrier] = [isUnknown(platformMeasure), isUnknown(carrierMeasure)];
  if (!isPlatform && !isCarrier) return "";
  const whose = isPlatform ? "platform" : "carrier";
  return ` (${isPlatform && isCarrier ? "no length on either side" : `no ${whose} length`}, so nothing to subtract)`;
}

function formatMatchedBy(matchedBy: MatchedBy): string {
  const name = MATCHED_BY[matchedBy] ?? enumName(MatchedBySchema, matchedBy);
  return name === undefined ? "" : `matched by ${name}`;
}

const MATCHED_BY: Readonly<Record<number, string>> = {
  [MatchedBy.ECHOED]: "the platform's record id",
  [MatchedBy.INTERCONNECT_DIALOG]: "SIP dialog (Call-ID)",
  [MatchedBy.ICID]: "ICID",
  [MatchedBy.SESSION_ID]: "Session-ID",
  [MatchedBy.NUMBERS_AND_TIME]: "numbers and time",
};

function introduce(causes: string): string {
  return causes === UNKNOWN ? "cause" : "because of";
}

const UNKNOWN = enumName(DiscrepancyCauseSchema, DiscrepancyCause.UNKNOWN);

/** A length as the sentences of an explanation have it; no sign. */
export function formatLength(ms: bigint | undefined): string {
  return ms === undefined ? "" : tellLength(Number(ms));
}
