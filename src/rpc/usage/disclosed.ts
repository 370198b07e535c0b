import { usageName } from "../../domain/privacy/disclosure.ts";
import { kindOfSide, PLATFORM_SIDE } from "../../domain/record-kind.ts";
import { addDays } from "../../domain/time/instant.ts";
import { type Restatement, UsageDimension } from "../../gen/tandem/platform/v1/usage_pb.js";
import { RecordPart } from "../../gen/tandem/type/v1/agreement_pb.js";
import type { DisclosedRecords } from "../shared/disclosure/disclose.ts";
import { nameOf } from "../shared/disclosure/disclosed-records.ts";
import type { ReadUsageRequest } from "./request.ts";

/**
 * What usage by number discloses: customer and days, since it has no calls. Coarser usage discloses
 * nothing.
 * @param carrierIds whose calls it counts.
 */
export function disclosedUsage(
  { groupBy, filter, period }: Pick<ReadUsageRequest, "groupBy" | "filter" | "period">,
  carrierIds: readonly string[],
): DisclosedRecords[] {
  const ofNumbers = groupBy.includes(UsageDimension.NUMBER) || groupBy.includes(UsageDimension.OTHER_PARTY);
  if (!ofNumbers && filter.phoneNumbers.length === 0) return [];
  const days: string[] = [];
  for (let day = period.startDate; day < period.endDate; day = addDays(day, 1)) days.push(day);
  return carrierIds.map((carrierId) => usageOfDays(carrierId, period.customerId, days));
}

/** The lines of restatements, and the records that caused them. */
export function disclosedRestatements(customerId: string, restatements: readonly Restatement[]): DisclosedRecords[] {
  const lines = restatements.flatMap((restatement) => restatement.lines);
  const byCarrier = Map.groupBy(lines, ({ key }) => key?.carrierId ?? "");
  const usage = [...byCarrier].flatMap(([carrierId, its]) => {
    const days = new Set(its.flatMap(({ key }) => key?.usageDate ?? []));
    return carrierId === "" ? [] : [usageOfDays(carrierId, customerId, [...days])];
  });
  const records = lines.flatMap((line) => line.records);
  const bySide = Map.groupBy(records, ({ carrierId, side }) => `${carrierId} ${side}`);
  const named = [...bySide.values()].flatMap((alike): DisclosedRecords[] => {
    const [first] = alike;
    if (!first) return [];
    const { carrierId, side } = first;
    const recordParts = [kindOfSide(side).part];
    return [{ carrierId, side, recordParts, records: alike.flatMap(({ record }) => (record ? [nameOf(record)] : [])) }];
  });
  return [...usage, ...named];
}

function usageOfDays(carrierId: string, customerId: string, days: readonly string[]): DisclosedRecords {
  const records = days.map((recordDate) => ({ recordId: usageName(customerId), recordDate, revision: 1 }));
  return { carrierId, side: PLATFORM_SIDE, recordParts: [RecordPart.CALL], records };
}
