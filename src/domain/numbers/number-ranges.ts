import { isPossibleNumber, isWholeNumber } from "./phone-number.ts";

/** Most prefixes, and most approved numbers, of a carrier. */
export const MAX_RANGES = 1_000;

/** `+` and 1 to 15 digits, the first not 0. */
export function isNumberPrefix(text: string): boolean {
  return /^\+[1-9][0-9]{0,14}$/.test(text);
}

/** All prefixes of a number or prefix, itself included; shortest first. */
export function prefixesOf(text: string): string[] {
  return Array.from({ length: text.length - 1 }, (_, index) => text.slice(0, index + 2));
}

/** The carrier with the longest matching prefix. `ranges`: carriers by prefix. */
export function whoseRange(phoneNumber: string, ranges: ReadonlyMap<string, string>): string | undefined {
  for (const prefix of prefixesOf(phoneNumber).reverse()) {
    const carrierId = ranges.get(prefix);
    if (carrierId !== undefined) return carrierId;
  }
  return undefined;
}

/** Undefined: nothing is wrong. */
export function findRangeProblem(
  prefixes: readonly string[],
  approvedNumbers: readonly string[],
): { field: string; description: string } | undefined {
  const tooMany = `expected at most ${MAX_RANGES}`;
  if (prefixes.length > MAX_RANGES) return { field: "prefixes", description: tooMany };
  if (approvedNumbers.length > MAX_RANGES) return { field: "approved_numbers", description: tooMany };
  const prefix = prefixes.findIndex((text) => !isNumberPrefix(text));
  if (prefix >= 0)
    return { field: `prefixes[${prefix}]`, description: "expected + and 1 to 15 digits, the first not 0" };
  const whole = prefixes.findIndex(isWholeNumber);
  if (whole >= 0) return { field: `prefixes[${whole}]`, description: WHOLE };
  const number = approvedNumbers.findIndex((text) => !isPossibleNumber(text));
  if (number < 0) return undefined;
  const description = "expected E.164: + and 2 to 15 digits, possible in its country";
  return { field: `approved_numbers[${number}]`, description };
}

const WHOLE = "expected a prefix of longer numbers; single numbers belong in approved_numbers";
