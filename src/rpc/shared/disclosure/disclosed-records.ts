import type { NamedRecord } from "../../../domain/matching/explain/explain.ts";
import { NO_SIDE, type RecordName } from "../../../domain/privacy/disclosure.ts";
import { CDR, DURATION, kindOfSide, type RecordKind } from "../../../domain/record-kind.ts";
import { isDay, type Micros, microsFromTimestamp, utcDay } from "../../../domain/time/instant.ts";
import type { CallExplanation } from "../../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { RecordPart } from "../../../gen/tandem/type/v1/agreement_pb.js";
import type { CallDetailRecord } from "../../../gen/tandem/type/v1/call_detail_record_pb.js";
import type { CallDuration } from "../../../gen/tandem/type/v1/call_duration_pb.js";
import type { Discrepancy, RecordReference } from "../../../gen/tandem/type/v1/discrepancy_pb.js";
import type { PhoneNumber } from "../../../gen/tandem/type/v1/phone_number_pb.js";
import type { ListedCdr } from "../../../store/records/cdr-lists.ts";

/** A record that an answer is about to deliver. */
export interface DisclosedRecord {
  readonly carrierId: string;
  readonly side: RecordKind["side"] | typeof NO_SIDE;
  /** The parts of it that the answer includes. */
  readonly recordParts: readonly RecordPart[];
  readonly record: RecordName;
}

/** Call detail records of an answer. */
export function disclosedCdrs(records: readonly CallDetailRecord[]): DisclosedRecord[] {
  return records.map((record) => {
    const parts = partsOfCdr(record.streamQualities.length > 0, record.networkIdentifiers !== undefined);
    return disclosed(record.carrierId, CDR, record, parts);
  });
}

/** Call detail records that an answer forwards as they are stored, all of one carrier. */
export function disclosedStoredCdrs(carrierId: string, records: readonly ListedCdr[]): DisclosedRecord[] {
  return records.map((record) => {
    const parts = partsOfCdr(Boolean(record.quality), Boolean(record.network));
    return disclosed(carrierId, CDR, record, parts);
  });
}

/** Durations of an answer. */
export function disclosedDurations(carrierId: string, durations: readonly CallDuration[]): DisclosedRecord[] {
  return durations.map((duration) => disclosed(carrierId, DURATION, duration));
}

/** Records that were refused or wait, named as they name themselves, as far as they do. */
export function disclosedRejects(
  carrierId: string,
  rejects: readonly { readonly recordId: string; readonly recordJson: string; readonly createTime: Micros }[],
): DisclosedRecord[] {
  return rejects.map(({ recordId, recordJson, createTime }) => {
    const sent = /"recordDate":"([^"]*)"/.exec(recordJson)?.[1] ?? "";
    const recordDate = isDay(sent) ? sent : utcDay(createTime);
    return disclosed(carrierId, DURATION, { recordId: recordId || "-", recordDate });
  });
}

/**
 * Rows of the inventory, each named by its revision and the day of its recording, as in an
 * erasure's entries.
 */
export function disclosedNumbers(numbers: readonly PhoneNumber[]): DisclosedRecord[] {
  return numbers.map(({ carrierId, revision, recordedTime }) => {
    const recordDate = utcDay(recordedTime ? microsFromTimestamp(recordedTime) : 0n);
    const record = { recordId: String(revision), recordDate, revision: 1 };
    return { carrierId, side: NO_SIDE, recordParts: [RecordPart.NUMBER_HISTORY], record };
  });
}

/** Discrepancies of an answer: what each shows of the records of both sides. */
export function disclosedDiscrepancies(discrepancies: readonly Discrepancy[]): DisclosedRecord[] {
  return discrepancies.flatMap((discrepancy) => [
    ...platformsOf(discrepancy),
    ...discrepancy.carrierRecords.map((record) => disclosed(discrepancy.carrierId, DURATION, record)),
  ]);
}

/** An explained call of an answer, and the records that its sentences name. */
export interface Explained {
  readonly message: CallExplanation;
  readonly named: readonly NamedRecord[];
}

/**
 * Explained calls of an answer: both sides' records as far as they are shown, and those that are
 * named beside them.
 */
export function disclosedExplanations(explanations: readonly Explained[]): DisclosedRecord[] {
  return explanations.flatMap(({ message, named }) => {
    const { carrierId, result, platformRecord, carrierRecords, refusedCandidates, nearRecords } = message;
    const beside = [...named, ...refusedCandidates, ...nearRecords].flatMap(({ side, record }) =>
      record ? [disclosed(carrierId, kindOfSide(side), record)] : [],
    );
    const nameOf = ({ side, record }: DisclosedRecord) => `${side}/${record.recordDate}/${record.recordId}`;
    return [
      ...(platformRecord ? disclosedCdrs([platformRecord]) : platformsOf(result)),
      ...disclosedDurations(carrierId, carrierRecords),
      ...new Map(beside.map((each) => [nameOf(each), each])).values(),
    ];
  });
}

/** A record by its name; answers always have the revision. */
export function disclosed(
  carrierId: string,
  { side, part }: RecordKind,
  { recordId, recordDate, revision = 1 }: Pick<RecordReference, "recordId" | "recordDate" | "revision">,
  recordParts: readonly RecordPart[] = [part],
): DisclosedRecord {
  return { carrierId, side, recordParts, record: { recordId, recordDate, revision } };
}

function platformsOf(result: Discrepancy | undefined): DisclosedRecord[] {
  return result?.platformRecord ? [disclosed(result.carrierId, CDR, result.platformRecord)] : [];
}

function partsOfCdr(hasQuality: boolean, hasNetwork: boolean): RecordPart[] {
  return [RecordPart.CALL, ...(hasQuality ? [RecordPart.QUALITY] : []), ...(hasNetwork ? [RecordPart.NETWORK] : [])];
}
