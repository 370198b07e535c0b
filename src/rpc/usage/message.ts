import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { Stated } from "../../domain/enum-values.ts";
import { timestampFromMicros } from "../../domain/time/instant.ts";
import { combineStates, reportingStateOf } from "../../domain/usage/reporting.ts";
import { type LineKey, MAX_LINE_RECORDS, type RestatementDraft } from "../../domain/usage/restating.ts";
import {
  addParts,
  NO_USAGE,
  type PartTotals,
  shareOf,
  totalOf,
  USAGE_PARTS,
  type UsageTotals,
} from "../../domain/usage/totals.ts";
import {
  type CarrierCompleteness,
  type ClosedPeriodSchema,
  DurationSource,
  RestatementSchema,
  type UsageCompleteness,
  UsageCompletenessSchema,
  UsageDimension,
  type UsageKeySchema,
  UsagePart,
  type UsageRowSchema,
  type UsageTotalsSchema,
} from "../../gen/tandem/platform/v1/usage_pb.js";
import type { ReportingState } from "../../gen/tandem/type/v1/reconciliation_summary_pb.js";
import type { CarrierUsage, KeyColumn, UsageCarrier, UsageGroup } from "../../store/usage/usage.ts";
import type { StoredPeriod } from "../../store/usage/usage-periods.ts";

/** Whose durations a part has. */
const SOURCES: Readonly<Record<Stated<UsagePart>, DurationSource>> = {
  [UsagePart.AGREED]: DurationSource.CARRIER,
  [UsagePart.DISPUTED]: DurationSource.PLATFORM,
  [UsagePart.UNCONFIRMED]: DurationSource.PLATFORM,
  [UsagePart.PENDING]: DurationSource.PLATFORM,
  [UsagePart.NOT_REPORTED]: DurationSource.PLATFORM,
  [UsagePart.CARRIER_ONLY]: DurationSource.CARRIER,
};

/** A group as a row. */
export function rowMessage(
  { key, parts }: UsageGroup,
  columns: readonly KeyColumn[],
): MessageInitShape<typeof UsageRowSchema> {
  return {
    key: keyMessage(key, columns),
    totals: totalsMessage(totalOf(parts)),
    parts: USAGE_PARTS.flatMap((part) => {
      const totals = parts.get(part);
      return totals ? [{ usagePart: part, durationSource: SOURCES[part], totals: totalsMessage(totals) }] : [];
    }),
    ...ratioField("pendingRatio", shareOf(parts, UsagePart.PENDING)),
  };
}

/** Sums. */
export function totalsMessage(totals: UsageTotals): MessageInitShape<typeof UsageTotalsSchema> {
  return {
    attemptCount: totals.attempts,
    answeredCount: totals.answered,
    connectedDurationMs: totals.connectedMs,
    billedCount: totals.billedCount,
    unmeasuredCount: totals.unmeasured,
    ...(totals.billedCount === 0n ? {} : { billedDurationS: totals.billedS }),
  };
}

/** The sums of all carriers. */
export function sumOfCarriers(usage: readonly CarrierUsage[]): PartTotals {
  const sum = new Map<UsagePart, UsageTotals>();
  for (const { parts } of usage) addParts(sum, parts);
  return sum;
}

/**
 * How complete figures are.
 * @param kept what was known of the closed periods whose days are shown as they were: no more may
 *   be claimed of them than that.
 */
export function completenessMessage(
  usage: readonly CarrierUsage[],
  carriers: readonly UsageCarrier[],
  kept: readonly UsageCompleteness[] = [],
): UsageCompleteness {
  const sum = sumOfCarriers(usage);
  const byCarrier = new Map(usage.map((found) => [found.carrierId, found]));
  const keptByCarrier = Map.groupBy(
    kept.flatMap((completeness) => completeness.carriers),
    ({ carrierId }) => carrierId,
  );
  return create(UsageCompletenessSchema, {
    ...ratioField("pendingRatio", shareOf(sum, UsagePart.PENDING)),
    ...ratioField("notReportedRatio", shareOf(sum, UsagePart.NOT_REPORTED)),
    carriers: carriers.map((carrier) => {
      const known = keptByCarrier.get(carrier.carrierId) ?? [];
      const found = byCarrier.get(carrier.carrierId);
      const through = earliest(carrier.reconciledThrough, known);
      return {
        carrierId: carrier.carrierId,
        reportingState: known
          .map(({ reportingState }): ReportingState => reportingState)
          .reduce(combineStates, reportingStateOf(found?.cells ?? [])),
        ...(through === undefined ? {} : { reconciledThroughTime: timestampFromMicros(through) }),
        pendingTotals: totalsMessage(found?.parts.get(UsagePart.PENDING) ?? NO_USAGE),
      };
    }),
  });
}

/** Completeness as usage_period keeps it. */
export function encodeCompleteness(completeness: UsageCompleteness): Uint8Array {
  return toBinary(UsageCompletenessSchema, completeness);
}

/** Completeness from its encoding. */
export function decodeCompleteness(bytes: Uint8Array): UsageCompleteness {
  return fromBinary(UsageCompletenessSchema, bytes);
}

/** A closed period. */
export function periodMessage(period: StoredPeriod): MessageInitShape<typeof ClosedPeriodSchema> {
  return {
    periodId: period.periodId,
    customerId: period.customerId,
    startDate: period.startDate,
    endDate: period.endDate,
    timeZone: period.timeZone,
    closeTime: timestampFromMicros(period.closeTime),
    closedBy: period.closedBy,
    closedTotals: totalsMessage(period.closedTotals),
    currentTotals: totalsMessage(period.currentTotals),
    completeness: decodeCompleteness(period.completeness),
    restatementNumber: period.restatementNumber,
  };
}

/** Encodes a restatement once it has its number. */
export function encodeRestatement(
  draft: RestatementDraft,
  position: { periodId: string; number: number; recordTime: bigint },
): Uint8Array {
  const message = create(RestatementSchema, {
    periodId: position.periodId,
    restatementNumber: position.number,
    recordTime: timestampFromMicros(position.recordTime),
    cause: draft.cause,
    lines: draft.lines.map((line) => ({
      key: lineKeyMessage(line),
      oldTotals: totalsMessage(totalOf(line.oldParts)),
      newTotals: totalsMessage(totalOf(line.newParts)),
      records: line.records
        .slice(0, MAX_LINE_RECORDS)
        .map(({ carrierId, side, ...record }) => ({ carrierId, side, record })),
      recordCount: BigInt(line.records.length),
    })),
    oldTotals: totalsMessage(draft.oldTotals),
    newTotals: totalsMessage(draft.newTotals),
  });
  return toBinary(RestatementSchema, message);
}

function lineKeyMessage(line: LineKey): MessageInitShape<typeof UsageKeySchema> {
  const columns: KeyColumn[] = [
    UsageDimension.DAY,
    UsageDimension.NUMBER,
    UsageDimension.DIRECTION,
    UsageDimension.COUNTRY,
    UsageDimension.CARRIER,
  ];
  const { usageDate, phoneNumber, direction, countryCode, carrierId } = line;
  return keyMessage([usageDate, phoneNumber, String(direction), countryCode, carrierId], columns);
}

function keyMessage(key: readonly string[], columns: readonly KeyColumn[]): MessageInitShape<typeof UsageKeySchema> {
  const fields: MessageInitShape<typeof UsageKeySchema> = {};
  for (const [index, column] of columns.entries()) {
    const value = key[index] ?? "";
    if (value !== "") setKeyField(fields, column, value);
  }
  return fields;
}

function setKeyField(fields: MessageInitShape<typeof UsageKeySchema>, column: KeyColumn, value: string): void {
  switch (column) {
    case UsageDimension.DAY:
      fields.usageDate = value;
      return;
    case UsageDimension.NUMBER:
      fields.phoneNumber = value;
      return;
    case UsageDimension.DIRECTION:
      fields.direction = Number(value);
      return;
    case UsageDimension.COUNTRY:
      fields.countryCode = value;
      return;
    case UsageDimension.CARRIER:
      fields.carrierId = value;
      return;
    case UsageDimension.OTHER_PARTY:
      fields.otherPartyNumber = value;
      return;
    case "OTHER_PARTY_KEY":
      fields.otherPartyKey = value;
      return;
    default:
      column satisfies never;
  }
}

function earliest(live: bigint | undefined, kept: readonly CarrierCompleteness[]): bigint | undefined {
  const times = kept.map(({ reconciledThroughTime: time }) =>
    time === undefined ? undefined : time.seconds * 1_000_000n + BigInt(Math.floor(time.nanos / 1_000)),
  );
  return times.reduce((a, b) => (a === undefined || b === undefined || b < a ? b : a), live);
}

function ratioField<Name extends string>(name: Name, ratio: number | undefined) {
  return (ratio === undefined ? {} : { [name]: ratio }) as Partial<Record<Name, number>>;
}
