import { fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { Stated } from "../../domain/enum-values.ts";
import { type FieldsOf, messageOf } from "../../domain/message-of.ts";
import { microsFromTimestamp, timestampFromMicros } from "../../domain/time/instant.ts";
import { combineStates, reportingStateOf } from "../../domain/usage/reporting.ts";
import { MAX_LINE_RECORDS, type RestatementDraft } from "../../domain/usage/restating.ts";
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
  type UsageRow,
  UsageRowSchema,
  type UsageTotalsSchema,
} from "../../gen/tandem/platform/v1/usage_pb.js";
import type { ReportingState } from "../../gen/tandem/type/v1/reconciliation_summary_pb.js";
import type { CarrierUsage, KeyColumn, UsageCarrier, UsageGroup } from "../../store/usage/usage.ts";
import type { StoredPeriod } from "../../store/usage/usage-periods.ts";

/** Parts whose durations are the carrier's. */
const OF_CARRIER: readonly UsagePart[] = [UsagePart.AGREED, UsagePart.CARRIER_ONLY];

const KEY_FIELDS: Readonly<Record<KeyColumn, keyof MessageInitShape<typeof UsageKeySchema>>> = {
  [UsageDimension.DAY]: "usageDate",
  [UsageDimension.NUMBER]: "phoneNumber",
  [UsageDimension.DIRECTION]: "direction",
  [UsageDimension.COUNTRY]: "countryCode",
  [UsageDimension.CARRIER]: "carrierId",
  [UsageDimension.OTHER_PARTY]: "otherPartyNumber",
  OTHER_PARTY_KEY: "otherPartyKey",
};

export function rowMessage({ key, parts }: UsageGroup, columns: readonly KeyColumn[]): UsageRow {
  const fields = columns.map((column, index) => {
    const value = key[index] ?? "";
    return [KEY_FIELDS[column], column === UsageDimension.DIRECTION ? Number(value) : value];
  });
  return messageOf(UsageRowSchema, {
    key: presentFields(Object.fromEntries(fields)),
    totals: totalsFields(totalOf(parts)),
    parts: USAGE_PARTS.flatMap((part) => partFields(part, parts.get(part))),
    pendingRatio: shareOf(parts, UsagePart.PENDING),
  });
}

function partFields(usagePart: Stated<UsagePart>, totals: UsageTotals | undefined) {
  if (totals === undefined) return [];
  const durationSource = OF_CARRIER.includes(usagePart) ? DurationSource.CARRIER : DurationSource.PLATFORM;
  return [{ usagePart, durationSource, totals: totalsFields(totals) }];
}

/** Sums. */
export function totalsFields(totals: UsageTotals): MessageInitShape<typeof UsageTotalsSchema> {
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
 * @param kept what was known of closed periods that are shown as closed: no more is claimed of
 *   them.
 */
export function completenessMessage(
  usage: readonly CarrierUsage[],
  carriers: readonly UsageCarrier[],
  kept: readonly StoredPeriod[] = [],
): UsageCompleteness {
  const sum = sumOfCarriers(usage);
  const byCarrier = new Map(usage.map((found) => [found.carrierId, found]));
  const keptByCarrier = Map.groupBy(
    kept.flatMap((period) => keptCompleteness(period).carriers),
    ({ carrierId }) => carrierId,
  );
  return messageOf(UsageCompletenessSchema, {
    pendingRatio: shareOf(sum, UsagePart.PENDING),
    notReportedRatio: shareOf(sum, UsagePart.NOT_REPORTED),
    carriers: carriers.map(({ carrierId, reconciledThrough }) => {
      const known = keptByCarrier.get(carrierId) ?? [];
      const found = byCarrier.get(carrierId);
      const through = earliest(reconciledThrough, known);
      return {
        carrierId,
        reportingState: known
          .map(({ reportingState }): ReportingState => reportingState)
          .reduce(combineStates, reportingStateOf(found?.cells ?? [])),
        reconciledThroughTime: through === undefined ? undefined : timestampFromMicros(through),
        pendingTotals: totalsFields(found?.parts.get(UsagePart.PENDING) ?? NO_USAGE),
      };
    }),
  });
}

/** How complete a closed period was at its closing. */
export function keptCompleteness({ completeness }: Pick<StoredPeriod, "completeness">): UsageCompleteness {
  return fromBinary(UsageCompletenessSchema, completeness);
}

export function periodFields(period: StoredPeriod): MessageInitShape<typeof ClosedPeriodSchema> {
  return {
    ...period,
    closeTime: timestampFromMicros(period.closeTime),
    closedTotals: totalsFields(period.closedTotals),
    currentTotals: totalsFields(period.currentTotals),
    completeness: keptCompleteness(period),
  };
}

/** Encodes a restatement that has its number. */
export function encodeRestatement(
  draft: RestatementDraft,
  position: { periodId: string; number: number; recordTime: bigint },
): Uint8Array {
  const message = messageOf(RestatementSchema, {
    periodId: position.periodId,
    restatementNumber: position.number,
    recordTime: timestampFromMicros(position.recordTime),
    cause: draft.cause,
    lines: draft.lines.map(({ usageDate, phoneNumber, direction, countryCode, carrierId, records, ...parts }) => ({
      key: presentFields({ usageDate, phoneNumber, direction, countryCode, carrierId }),
      oldTotals: totalsFields(totalOf(parts.oldParts)),
      newTotals: totalsFields(totalOf(parts.newParts)),
      records: records.slice(0, MAX_LINE_RECORDS).map((record) => ({ ...record, record })),
      recordCount: BigInt(records.length),
    })),
    oldTotals: totalsFields(draft.oldTotals),
    newTotals: totalsFields(draft.newTotals),
  });
  return toBinary(RestatementSchema, message);
}

/** The fields of a key that are not empty. */
function presentFields(key: Readonly<Record<string, string | number>>): FieldsOf<typeof UsageKeySchema> {
  return Object.fromEntries(Object.entries(key).filter(([, value]) => value !== ""));
}

function earliest(live: bigint | undefined, kept: readonly CarrierCompleteness[]): bigint | undefined {
  const times = kept.map(({ reconciledThroughTime: time }) => time && microsFromTimestamp(time));
  return times.reduce((a, b) => (a === undefined || b === undefined || b < a ? b : a), live);
}
