import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { NamedRecord } from "../../../domain/matching/explain/explain.ts";
import { NO_SIDE } from "../../../domain/privacy/disclosure.ts";
import { CARRIER_SIDE, CDR, DURATION, PLATFORM_SIDE, type RecordKind } from "../../../domain/record-kind.ts";
import { isDay, type Micros, microsFromTimestamp, utcDay } from "../../../domain/time/instant.ts";
import type { CallExplanation } from "../../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { RecordPart } from "../../../gen/tandem/type/v1/agreement_pb.js";
import type { CallDetailRecord } from "../../../gen/tandem/type/v1/call_detail_record_pb.js";
import type { CallDuration } from "../../../gen/tandem/type/v1/call_duration_pb.js";
import type { Discrepancy, RecordReference } from "../../../gen/tandem/type/v1/discrepancy_pb.js";
import type { PhoneNumber } from "../../../gen/tandem/type/v1/phone_number_pb.js";
import type { ListedCdr } from "../../../store/records/cdr-lists.ts";
import type { DisclosedRecords } from "./disclose.ts";

/** Call detail records of an answer, by carrier and by which parts are in them. */
export function disclosedCdrs(records: readonly CallDetailRecord[]): DisclosedRecords[] {
  const byParts = Map.groupBy(records, (record) => `${record.carrierId} ${partsOfCdr(record).join()}`);
  return [...byParts.values()].flatMap((alike) => {
    const [first] = alike;
    if (!first) return [];
    const { carrierId } = first;
    return [{ carrierId, side: PLATFORM_SIDE, recordParts: partsOfCdr(first), records: alike.map(nameOf) }];
  });
}

/** Call detail records that an answer forwards as they are stored, all of one carrier. */
export function disclosedStoredCdrs(carrierId: string, records: readonly ListedCdr[]): DisclosedRecords[] {
  const partsOf = ({ quality, network }: ListedCdr) => [
    RecordPart.CALL,
    ...(quality ? [RecordPart.QUALITY] : []),
    ...(network ? [RecordPart.NETWORK] : []),
  ];
  return [...Map.groupBy(records, (record) => partsOf(record).join()).values()].map((alike) => ({
    carrierId,
    side: PLATFORM_SIDE,
    recordParts: alike[0] ? partsOf(alike[0]) : [],
    records: alike,
  }));
}

/** Durations of an answer. */
export function disclosedDurations(carrierId: string, durations: readonly CallDuration[]): DisclosedRecords {
  return {
    carrierId,
    side: CARRIER_SIDE,
    recordParts: [RecordPart.DURATION],
    records: durations.map(nameOf),
  };
}

/** Records that were refused or wait, named as they name themselves, as far as they do. */
export function disclosedRejects(
  carrierId: string,
  rejects: readonly { readonly recordId: string; readonly recordJson: string; readonly createTime: Micros }[],
): DisclosedRecords {
  const records = rejects.map(({ recordId, recordJson, createTime }) => {
    const sent = /"recordDate":"([^"]*)"/.exec(recordJson)?.[1] ?? "";
    return { recordId: recordId || "-", recordDate: isDay(sent) ? sent : utcDay(createTime), revision: 1 };
  });
  return { carrierId, side: CARRIER_SIDE, recordParts: [RecordPart.DURATION], records };
}

/**
 * Rows of the inventory, each named by its revision and the day of its recording, as in an
 * erasure's entries.
 */
export function disclosedNumbers(numbers: readonly PhoneNumber[]): DisclosedRecords[] {
  return [...Map.groupBy(numbers, ({ carrierId }) => carrierId)].map(([carrierId, its]) => ({
    carrierId,
    side: NO_SIDE,
    recordParts: [RecordPart.NUMBER_HISTORY],
    records: its.map((number) => ({
      recordId: String(number.revision),
      recordDate: dayOf(number.recordedTime),
      revision: 1,
    })),
  }));
}

/** Discrepancies of an answer: what each shows of the records of both sides. */
export function disclosedDiscrepancies(discrepancies: readonly Discrepancy[]): DisclosedRecords[] {
  return [...Map.groupBy(discrepancies, ({ carrierId }) => carrierId)].flatMap(([carrierId, its]) => [
    {
      carrierId,
      side: PLATFORM_SIDE,
      recordParts: [RecordPart.CALL],
      records: its.flatMap(({ platformRecord }) => (platformRecord ? [nameOf(platformRecord)] : [])),
    },
    {
      carrierId,
      side: CARRIER_SIDE,
      recordParts: [RecordPart.DURATION],
      records: its.flatMap(({ carrierRecords }) => carrierRecords.map(nameOf)),
    },
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
export function disclosedExplanations(explanations: readonly Explained[]): DisclosedRecords[] {
  return explanations.flatMap(
    ({
      message: { carrierId, result, platformRecord, carrierRecords, refusedCandidates, nearRecords },
      named: inSentences,
    }) => {
      const [shown] = disclosedDiscrepancies(result ? [result] : []);
      const beside = new Map(
        [...inSentences, ...refusedCandidates, ...nearRecords].flatMap(({ side, record }) =>
          record ? [[`${side}/${record.recordDate}/${record.recordId}`, { side, record }]] : [],
        ),
      );
      const named = (kind: RecordKind) => ({
        carrierId,
        side: kind.side,
        recordParts: [kind.part],
        records: [...beside.values()].flatMap((found) => (found.side === kind.side ? [nameOf(found.record)] : [])),
      });
      return [
        ...(platformRecord ? disclosedCdrs([platformRecord]) : []),
        ...(shown && !platformRecord ? [shown] : []),
        disclosedDurations(carrierId, carrierRecords),
        named(CDR),
        named(DURATION),
      ];
    },
  );
}

/** A record of an answer by its name; answers always have the revision. */
export function nameOf({
  recordId,
  recordDate,
  revision,
}: Pick<RecordReference, "recordId" | "recordDate" | "revision">) {
  return { recordId, recordDate, revision: revision ?? 1 };
}

function partsOfCdr({ streamQualities, networkIdentifiers }: CallDetailRecord): RecordPart[] {
  return [
    RecordPart.CALL,
    ...(streamQualities.length > 0 ? [RecordPart.QUALITY] : []),
    ...(networkIdentifiers ? [RecordPart.NETWORK] : []),
  ];
}

function dayOf(time: Timestamp | undefined): string {
  return utcDay(time ? microsFromTimestamp(time) : 0n);
}
