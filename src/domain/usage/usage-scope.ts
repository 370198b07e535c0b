import { UsageDimension } from "../../gen/tandem/platform/v1/usage_pb.js";
import { Direction } from "../../gen/tandem/type/v1/call_pb.js";
import { isE164 } from "../calls/party.ts";
import { isCountry } from "../carriers/country.ts";
import { lastValue, type Stated } from "../enum-values.ts";
import type { FieldViolation } from "../errors.ts";
import { isCustomerId } from "../numbers/number-item.ts";
import { addDays, isDay } from "../time/instant.ts";
import { isTimeZone } from "../time/time-zone.ts";
import type { ZoneDays } from "../time/zone-days.ts";

/** Days of a customer in a time zone. */
export interface UsagePeriod {
  readonly customerId: string;
  /** The first day, `YYYY-MM-DD`. */
  readonly startDate: string;
  /** The day after the last. */
  readonly endDate: string;
  /** IANA. */
  readonly timeZone: string;
}

/** A period with the instants at which its days begin. */
export interface DatedPeriod extends UsagePeriod {
  readonly days: ZoneDays;
}

/** Which calls. An empty list or direction 0 leaves nothing out. */
export interface UsageFilter {
  readonly phoneNumbers: readonly string[];
  readonly direction: number;
  readonly countryCodes: readonly string[];
}

/** The default grouping. */
export const DEFAULT_GROUPING: readonly Stated<UsageDimension>[] = [
  UsageDimension.DAY,
  UsageDimension.NUMBER,
  UsageDimension.DIRECTION,
  UsageDimension.COUNTRY,
];

const MAX_NUMBERS = 100;
const MAX_COUNTRIES = 250;
const LAST_DIRECTION = lastValue(Direction);

/** Everything wrong with a period but its length, by the fields of the requests. */
export function findPeriodViolations(period: UsagePeriod): FieldViolation[] {
  const found: FieldViolation[] = [];
  const check = (field: string, holds: boolean, description: string) => {
    if (!holds) found.push({ field, description });
  };
  const { customerId, startDate, endDate, timeZone } = period;
  check("customer_id", isCustomerId(customerId), "expected 1 to 64 characters of A-Z, a-z, 0-9, ., _ and -");
  check("start_date", isUsageDay(startDate), "expected a day, YYYY-MM-DD, from 1970-01-01 to 9999-12-31");
  check("end_date", isUsageDay(endDate), "expected a day, YYYY-MM-DD, from 1970-01-01 to 9999-12-31");
  if (found.length === 0) check("end_date", startDate < endDate, "expected a day after start_date");
  check("time_zone", isTimeZone(timeZone), "is required: an IANA time zone, such as Europe/Copenhagen");
  return found;
}

export function isLongerThan({ startDate, endDate }: UsagePeriod, days: number): boolean {
  return addDays(startDate, days) < endDate;
}

/** Everything wrong with a filter, by the fields of the requests. */
export function findUsageFilterViolations({ phoneNumbers, direction, countryCodes }: UsageFilter): FieldViolation[] {
  const found: FieldViolation[] = [];
  if (phoneNumbers.length > MAX_NUMBERS || !phoneNumbers.every(isE164))
    found.push({ field: "phone_numbers", description: `expected at most ${MAX_NUMBERS} numbers in E.164 form` });
  if (!Number.isInteger(direction) || direction < 0 || direction > LAST_DIRECTION)
    found.push({ field: "direction", description: "expected DIRECTION_OUTBOUND or DIRECTION_INBOUND, or none" });
  if (countryCodes.length > MAX_COUNTRIES || !countryCodes.every(isCountry)) {
    const description = `expected at most ${MAX_COUNTRIES} ISO 3166-1 alpha-2 codes in upper case`;
    found.push({ field: "country_codes", description });
  }
  return found;
}

/** What is wrong with a grouping; undefined: nothing. */
export function findGroupingViolation(groupBy: readonly number[]): FieldViolation | undefined {
  const isKnown = groupBy.every(
    (dimension) => dimension >= UsageDimension.DAY && dimension <= UsageDimension.OTHER_PARTY,
  );
  if (isKnown && new Set(groupBy).size === groupBy.length) return undefined;
  return { field: "group_by", description: "expected dimensions of usage, each at most once" };
}

// There are no calls before 1970.
function isUsageDay(text: string): boolean {
  return isDay(text) && text >= "1970-01-01";
}
