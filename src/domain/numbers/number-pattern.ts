import { nationalDigitsOf } from "./spelling.ts";

// Finds a number in stored data in every spelling; rather too much than too little: hits are
// checked.

/** A PostgreSQL regular expression for texts and for bytes in `escape` format. */
export function searchPattern(phoneNumber: string): string {
  return patternOf(phoneNumber, (digits) => [...digits]);
}

/** The same, where the last three digits may be masked. */
export function maskedSearchPattern(phoneNumber: string): string {
  return patternOf(phoneNumber, digitsMaybeMasked);
}

/** A pattern for each digit; the last three may be masked. */
export function digitsMaybeMasked(digits: string): string[] {
  return [...digits].map((digit, at) => (at < digits.length - SHOWN_AS_STARS ? digit : `[${digit}*]`));
}

/** Number of masked digits at the end. */
export const SHOWN_AS_STARS = 3;
const BETWEEN = "(?:[^0-9A-Za-z\\\\]|\\\\[0-7]{3})*";
/** A continuation byte of a character. */
const NEXT = "\\\\2[0-7]{2}";
/** Any character beyond ASCII, as bytes or text; hits are checked again. */
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

// Only within a number: bytes of times and lengths look alike.
function patternOf(phoneNumber: string, of: (digits: string) => string[]): string {
  const inAnyScript = (digit: string) => `(?:${digit}|${OTHER_DIGIT})`;
  const spelled = nationalDigitsOf(phoneNumber).map((digits) => of(digits).map(inAnyScript).join(BETWEEN));
  return spelled.join("|");
}
