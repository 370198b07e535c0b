import {
  type CountryCode,
  getCountries,
  getCountryCallingCode,
  parsePhoneNumberFromString,
} from "libphonenumber-js/min";

/** ISO 3166-1 alpha-2. */
export function isCountry(code: string): boolean {
  return COUNTRIES.has(code);
}

/**
 * The country of an E.164 number, ISO 3166-1 alpha-2; undefined: unknown. For shared calling codes
 * the answer is cached by the digits that decide: libphonenumber takes 15 µs, too long for each
 * record.
 */
export function countryOfNumber(e164: string): string | undefined {
  const plan = planOf(e164);
  if (plan === undefined || typeof plan === "string") return plan;
  const key = e164.slice(0, 1 + plan.digits);
  const byLength = shared.get(key);
  const remembered = byLength?.[e164.length];
  if (remembered !== undefined) return remembered === NONE ? undefined : remembered;
  const country = askLibrary(e164, plan.digits);
  if (shared.size >= MAX_REMEMBERED) shared.clear();
  shared.set(key, Object.assign(byLength ?? [], { [e164.length]: country ?? NONE }));
  return country;
}

/** How many leading digits tell the countries of a shared calling code apart. */
interface SharedPlan {
  digits: number;
}

const MAX_REMEMBERED = 65_536;
const NONE = "";
/** By deciding digits and length. */
const shared = new Map<string, string[]>();

// Countries without a telephone plan, which the metadata lacks.
const WITHOUT_PLAN = ["AQ", "BV", "GS", "HM", "PN", "TF", "UM"];
// Codes in the metadata that ISO 3166-1 does not assign.
const NOT_ASSIGNED = new Set(["AC", "TA"]);
const COUNTRIES: ReadonlySet<string> = new Set([
  ...getCountries().filter((country) => !NOT_ASSIGNED.has(country)),
  ...WITHOUT_PLAN,
]);

const PLANS: ReadonlyMap<string, string | SharedPlan> = readPlans();
// Indexed by the first three digits, since every record asks twice.
const PLANS_BY_DIGITS: readonly (string | SharedPlan | undefined)[] = Array.from({ length: 1_000 }, (_, index) =>
  findPlan(String(index).padStart(3, "0")),
);

// Longer prefixes come first.
function readPlans(): Map<string, string | SharedPlan> {
  const plans = new Map<string, string | SharedPlan>();
  const countries = new Map<string, CountryCode[]>();
  for (const country of getCountries()) {
    const callingCode = getCountryCallingCode(country);
    countries.set(callingCode, [...(countries.get(callingCode) ?? []), country]);
  }
  for (const [callingCode, [first, ...others]] of countries) {
    if (first === undefined) continue;
    plans.set(callingCode, others.length === 0 ? assigned(first) : { digits: 9 });
  }
  const told: readonly [string, number][] = [
    ["1", 4],
    ["7", 6],
    ["39", 7],
    ["44", 7],
    ["47", 4],
    ["61", 4],
    ["618", 8],
    ["212", 7],
    ["290", 4],
  ];
  for (const [prefix, digits] of told) plans.set(prefix, { digits });
  return plans;
}

function planOf(e164: string): string | SharedPlan | undefined {
  if (e164.length < 4) return findPlan(e164.slice(1));
  return PLANS_BY_DIGITS[digitAt(e164, 1) * 100 + digitAt(e164, 2) * 10 + digitAt(e164, 3)];
}

// Calling codes have one to three digits, and none begins another; 618 is Australia's range with
// island numbers in it.
function findPlan(digits: string): string | SharedPlan | undefined {
  return PLANS.get(digits.slice(0, 3)) ?? PLANS.get(digits.slice(0, 2)) ?? PLANS.get(digits.slice(0, 1));
}

function digitAt(e164: string, index: number): number {
  return e164.charCodeAt(index) - DIGIT_ZERO;
}

const DIGIT_ZERO = 48;

// Replaces the other digits, so that all numbers with these get one answer.
function askLibrary(e164: string, digits: number): string | undefined {
  const kept = e164.slice(0, 1 + digits);
  const typical = kept + "23456789012".slice(0, Math.max(0, e164.length - kept.length));
  const country = parsePhoneNumberFromString(typical)?.country;
  return country === undefined ? undefined : assigned(country);
}

function assigned(country: CountryCode): string {
  return NOT_ASSIGNED.has(country) ? "SH" : country;
}
