import { nationalDigitsOf } from "./spelling.ts";

// A number in what a database holds is looked for by a pattern that finds too much and never too
// little, whatever the spelling; what it finds is looked at again.

/** A regular expression, for PostgreSQL, of texts and of bytes as its `escape` has them in which a number may be. */
export function searchPattern(phoneNumber: string): string {
  return patternOf(phoneNumber, (digits) => [...digits]);
}

/** The same, of texts in which the last three digits may be masked. */
export function maskedSearchPattern(phoneNumber: string): string {
  return patternOf(phoneNumber, digitsMaybeMasked);
}

/** Each digit as a pattern: the last three may be masked. */
export function digitsMaybeMasked(digits: string): string[] {
  return [...digits].map((digit, at) => (at < digits.length - SHOWN_AS_STARS ? digit : `[${digit}*]`));
}

const SHOWN_AS_STARS = 3;
/** Whatever may stand between two digits. */
const BETWEEN = "(?:[^0-9A-Za-z]|\\\\[0-7]{3})*";
/** A character beyond ASCII: it may be a digit of another script. */
const BEYOND_ASCII = "(?:\\\\[23][0-7]{2}){2,4}|[^\\u0001-\\u007F]";

function patternOf(phoneNumber: string, of: (digits: string) => string[]): string {
  return nationalDigitsOf(phoneNumber)
    .map((digits) =>
      of(digits)
        .map((digit) => `(?:${digit}|${BEYOND_ASCII})`)
        .join(BETWEEN),
    )
    .join("|");
}
