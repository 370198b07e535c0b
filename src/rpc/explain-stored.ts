import { clone, create, fromBinary } from "@bufbuild/protobuf";
import { EvidenceOutcome, EvidenceStage, type EvidenceStep } from "../domain/matching/evidence.ts";
import {
  type Discrepancy,
  DiscrepancySchema,
  DiscrepancyStatus,
  RecordReferenceSchema,
} from "../gen/tandem/type/v1/discrepancy_pb.js";
import type { CallResultRow } from "../store/call-results.ts";

/**
 * The result in force as it is stored, where a judgement made now comes to another: as its
 * discrepancy tells it, or of a call that never disagreed what its row has.
 */
export function storedMessage(judgedNow: Discrepancy, stored: CallResultRow): Discrepancy {
  if (stored.payload !== null) return fromBinary(DiscrepancySchema, stored.payload);
  const message = clone(DiscrepancySchema, judgedNow);
  message.status = stored.status;
  message.matchedBy = stored.matchedBy;
  message.pendingReason = stored.pendingReason;
  message.findings = message.findings.filter(({ cause }) => (stored.causes & (1 << cause)) !== 0);
  message.carrierRecords = stored.carrierRecords.map((record) => create(RecordReferenceSchema, record));
  if (stored.carrierRecords.length === 0) {
    delete message.carrierMeasure;
    delete message.deltas;
  }
  return message;
}

/** Says first that what follows is not how the result in force came about. */
export function otherThanStored({ status }: Discrepancy): EvidenceStep {
  const now = (DiscrepancyStatus[status] ?? "").toLowerCase().replaceAll("_", "-");
  return {
    stage: EvidenceStage.RECORD_STATE,
    outcome: EvidenceOutcome.NOT_COMPARABLE,
    explanation: `The result above is the one in force. Judged now, the call comes to ${now}, as the steps below tell: time has passed, or records have come that are not reconciled yet.`,
    values: [],
  };
}
