import { nationalDigitsOf } from "./spelling.ts";

// A number in what a database holds is looked for by a pattern that finds too much and never too
// little, whatever the spelling; what it finds is looked at again.

/**
 * A regular expression, for PostgreSQL, of texts and of bytes as its `escape` has them in which a
 * number may be.
 */
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

/** How many digits at the end of a number are not shown. */
export const SHOWN_AS_STARS = 3;
/** Whatever may stand between two digits. */
const BETWEEN = "(?:[^0-9A-Za-z\\\\]|\\\\[0-7]{3})*";
/** A byte behind the first of a character. */
const NEXT = "\\\\2[0-7]{2}";
/**
 * Any digit of another script, whichever it is: a pattern for each would be long, and what is found
 * is looked at again. The bytes of such characters, and in text any character beyond ASCII.
 */
const OTHER_DIGIT = [
  "\\\\302\\\\2(?:6[23]|71)",
  "\\\\331\\\\2(?:4[0-7]|5[01])",
  "\\\\333\\\\2(?:6[0-7]|7[01])",
  "\\\\337\\\\2(?:0[0-7]|1[01])",
  `\\\\3(?:4[01]|52)${NEXT}${NEXT}`,
  `\\\\342\\\\2(?:0[12]|05|2[1-3]|3[56])${NEXT}`,
  `\\\\343\\\\21[3-7]${NEXT}`,
  "\\\\357\\\\274\\\\2[23][0-7]",
  `\\\\360${NEXT}${NEXT}${NEXT}`,
  "[^\\u0001-\\u007F]",
].join("|");

// A digit of another script stands for one digit of the number and not for a find of its own: of
// the bytes of times and lengths many look like one.
function patternOf(phoneNumber: string, of: (digits: string) => string[]): string {
  const inAnyScript = (digit: string) => `(?:${digit}|${OTHER_DIGIT})`;
  const spelled = nationalDigitsOf(phoneNumber).map((digits) => of(digits).map(inAnyScript).join(BETWEEN));
  return spelled.join("|");
}
