import { NumberState } from "../../gen/tandem/type/v1/phone_number_pb.js";
import { isCountry } from "../carriers/country.ts";
import type { FieldViolation } from "../errors.ts";
import { isCustomerId } from "./number-item.ts";

/** Conditions are joined by AND, values of one by OR; an absent one excludes nothing. */
export interface NumberFilter {
  readonly states?: readonly number[];
  readonly customerId?: string;
  readonly countryCode?: string;
  readonly numberPrefix?: string;
}

/** All wrong fields, by their names in tandem.type.v1.NumberFilter. */
export function findFilterViolations(filter: NumberFilter): FieldViolation[] {
  const found: FieldViolation[] = [];
  const check = (field: string, holds: boolean, description: string) => {
    if (!holds) found.push({ field: `filter.${field}`, description });
  };
  const { states = [], customerId, countryCode, numberPrefix } = filter;
  check(
    "states",
    states.every(isState) && states.length <= MAX_STATES,
    "expected PROVISIONED, ASSIGNED, RELEASED or PORTED_OUT",
  );
  check(
    "customer_id",
    customerId === undefined || isCustomerId(customerId),
    "expected 1 to 64 characters of A-Z, a-z, 0-9, ., _ and -",
  );
  check(
    "country_code",
    countryCode === undefined || isCountry(countryCode),
    "expected an ISO 3166-1 alpha-2 code in upper case",
  );
  check(
    "number_prefix",
    numberPrefix === undefined || /^\+[0-9]{1,15}$/.test(numberPrefix),
    "expected + and 1 to 15 digits",
  );
  return found;
}

const MAX_STATES = 16;

function isState(state: number): boolean {
  return state >= NumberState.PROVISIONED && state <= NumberState.PORTED_OUT;
}
