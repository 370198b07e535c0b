import { usageName } from "../../domain/privacy/disclosure.ts";
import { CDR, kindOfSide } from "../../domain/record-kind.ts";
import { addDays } from "../../domain/time/instant.ts";
import { type Restatement, UsageDimension } from "../../gen/tandem/platform/v1/usage_pb.js";
import { type DisclosedRecord, disclosed } from "../shared/disclosure/disclosed-records.ts";
import type { ReadUsageRequest } from "./request.ts";

/**
 * What usage by number discloses: customer and days, since it has no calls. Coarser usage discloses
 * nothing.
 * @param carrierIds whose calls it counts.
 */
export function disclosedUsage(
  { groupBy, filter, period }: Pick<ReadUsageRequest, "groupBy" | "filter" | "period">,
  carrierIds: readonly string[],
): DisclosedRecord[] {
  const ofNumbers = groupBy.includes(UsageDimension.NUMBER) || groupBy.includes(UsageDimension.OTHER_PARTY);
  if (!ofNumbers && filter.phoneNumbers.length === 0) return [];
  const days: string[] = [];
  for (let day = period.startDate; day < period.endDate; day = addDays(day, 1)) days.push(day);
  return carrierIds.flatMap((carrierId) => days.map((day) => usageOfDay(carrierId, period.customerId, day)));
}

/** The lines of restatements, and the records that caused them. */
export function disclosedRestatements(customerId: string, restatements: readonly Restatement[]): DisclosedRecord[] {
  const lines = restatements.flatMap((restatement) => restatement.lines);
  const byCarrier = Map.groupBy(lines, ({ key }) => key?.carrierId ?? "");
  const usage = [...byCarrier].flatMap(([carrierId, its]) => {
    const days = new Set(its.flatMap(({ key }) => key?.usageDate ?? []));
    return carrierId === "" ? [] : [...days].map((day) => usageOfDay(carrierId, customerId, day));
  });
  const records = lines.flatMap((line) => line.records);
  const named = records.flatMap(({ carrierId, side, record }) =>
    record ? [disclosed(carrierId, kindOfSide(side), record)] : [],
  );
  return [...usage, ...named];
}

function usageOfDay(carrierId: string, customerId: string, recordDate: string): DisclosedRecord {
  return disclosed(carrierId, CDR, { recordId: usageName(customerId), recordDate });
}
