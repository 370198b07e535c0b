import { fromBinary } from "@bufbuild/protobuf";
import type { EvidenceStep } from "../../domain/matching/explain/evidence.ts";
import { RULE_VERSION } from "../../domain/matching/result.ts";
import { messageOf } from "../../domain/message-of.ts";
import { PLATFORM_SIDE } from "../../domain/record-kind.ts";
import { EvidenceOutcome, EvidenceStage } from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { type Discrepancy, DiscrepancySchema, DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import type { CallResultRow } from "../../store/reconciliation/call-result-columns.ts";

/**
 * A result as it stands: as it was told, and of one that was never told, for it never disagreed,
 * what is kept of it.
 */
export function resultInForce(carrierId: string, stored: CallResultRow): Discrepancy {
  const message = stored.payload === undefined ? keptMessage(stored) : fromBinary(DiscrepancySchema, stored.payload);
  message.carrierId = carrierId;
  if (stored.sequence !== undefined) message.sequence = stored.sequence;
  return message;
}

function keptMessage(stored: CallResultRow): Discrepancy {
  const { status, matchedBy, pendingReason, direction, callDate, callId, customerId, trunkId, carrierRecords } = stored;
  const isPlatforms = stored.side === PLATFORM_SIDE;
  return messageOf(DiscrepancySchema, {
    status,
    matchedBy,
    pendingReason,
    direction,
    callDate,
    ruleVersion: RULE_VERSION,
    platformRecord: isPlatforms ? stored : undefined,
    platformMeasure: isPlatforms
      ? { answered: stored.platformAnswered, connectedDurationMs: stored.platformMs }
      : undefined,
    carrierRecords,
    carrierMeasure:
      carrierRecords.length > 0
        ? { answered: stored.carrierAnswered, connectedDurationMs: stored.carrierMs }
        : undefined,
    callId,
    customerId,
    trunkId,
  });
}

/** Says that the steps behind it are not yet those of the result in force. */
export function waitingStep(stored: CallResultRow, statusNow: number): EvidenceStep {
  const records = stored.carrierRecords.map(({ recordId }) => recordId).join(", ");
  const carrier = records === "" ? "no carrier record" : `the carrier's ${records}`;
  const rests = stored.side === PLATFORM_SIDE ? `the platform's record ${stored.recordId} and ${carrier}` : carrier;
  const now = (DiscrepancyStatus[statusNow] ?? "").toLowerCase().replaceAll("_", "-");
  return {
    stage: EvidenceStage.RECORD_STATE,
    outcome: EvidenceOutcome.FAILED,
    explanation: `The result in force rests on ${rests}. It is waiting to be judged again. If Tandem judged the call now, the result would be ${now}. The steps below tell why.`,
    values: [],
  };
}
