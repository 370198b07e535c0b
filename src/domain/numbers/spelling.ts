import {
  type CountryCode,
  getCountries,
  getCountryCallingCode,
  isSupportedCountry,
  Metadata,
  parsePhoneNumberFromString,
} from "libphonenumber-js/max";
import { plainDigits } from "../privacy/masking.ts";

// What a spelling of a number means, for all who ask.

/** A dialled or signalled text, read as a number. */
export interface Spelling {
  /** ASCII, without scheme, host, parameters and separators. */
  readonly text: string;
  /** Possible E.164 numbers, likeliest first. */
  readonly readings: readonly string[];
}

/**
 * Reads E.164, national forms, international prefixes, bracketed trunk zeros, separators, sip: and
 * tel: URIs.
 * @param country of national numbers. Unknown: these have no reading.
 */
export function readSpelling(value: string, country: string | undefined): Spelling {
  const { user, context } = userOf(plainDigits(value));
  const text = user.replaceAll(SEPARATORS, "");
  const short = user.replace(BRACKETED_ZERO, "$1").replaceAll(SEPARATORS, "");
  const readings = readingsOf(text, country, context);
  if (short === text) return { text, readings };
  // Some plans have the zero in the number; what is in service decides.
  const without = readingsOf(short, country, context);
  const isPart = without.length === 0 || (readings.some(isValid) && !without.some(isValid));
  return isPart ? { text, readings } : { text: short, readings: without };
}

/** A number's one form: no trunk prefix, Argentine 9 or Mexican 1, but the Italian zero. */
export function canonicalNumber(e164: string): string {
  const code = callingCodeOf(e164);
  const national = e164.slice(1 + code.length);
  const plain = inOneForm(code, national);
  if (plain !== undefined) return plain;
  if (!startsWithTrunk(code, national)) return e164;
  const read = parsePhoneNumberFromString(e164);
  if (read === undefined || read.number === e164 || !read.isPossible()) return e164;
  return inOneForm(code, read.nationalNumber) ?? read.number;
}

/** All E.164 forms, the given one first. */
export function e164Forms(e164: string): readonly string[] {
  const known = forms.get(e164);
  if (known !== undefined) return known;
  const code = callingCodeOf(e164);
  const national = e164.slice(1 + code.length);
  const hasOne = INFIXES[code] === undefined && code !== ITALY && !startsWithTrunk(code, national);
  if (hasOne) return [e164];
  const found = findForms(e164);
  // A cache: the library takes 15 µs.
  if (forms.size >= MAX_REMEMBERED) forms.clear();
  forms.set(e164, found);
  return found;
}

/** Digits that find a number in texts: without trunk prefix. None contains another. */
export function nationalDigitsOf(e164: string): readonly string[] {
  const found = new Set<string>();
  for (const form of e164Forms(e164)) {
    const code = callingCodeOf(form);
    found.add(form.slice(1 + code.length));
    // At home, an Argentine mobile has a 15 between area and number.
    if (code === ARGENTINA) found.add(digitsAtHome(form));
  }
  found.delete("");
  return [...found].filter((digits) => ![...found].some((other) => other !== digits && digits.includes(other)));
}

/** Digits that may stand between a calling code and a number, though no number begins with them. */
export function prefixesBehindCallingCode(callingCode: string): readonly string[] {
  const infix = INFIXES[callingCode]?.infix;
  return [...(TRUNK_PREFIXES.get(callingCode) ?? []), ...(infix === undefined ? [] : [infix])];
}

/** Empty: no country has it. */
export function callingCodeOf(e164: string): string {
  for (let end = 2; end <= 4; end++) if (CALLING_CODES.has(e164.slice(1, end))) return e164.slice(1, end);
  return "";
}

export function isCallingCode(digits: string): boolean {
  return CALLING_CODES.has(digits);
}

/** Empty: unknown. */
export function callingCodeIn(country: string | undefined): string {
  return isPlanned(country) ? getCountryCallingCode(country) : "";
}

/** Whether the address only says that the caller is hidden or unknown. */
export function isHiddenCaller(value: string): boolean {
  const text = value.trim().toLowerCase().replace(SCHEME, "");
  return HIDDEN_NAME.test(text) || HIDDEN_HOST.test(text) || NO_NUMBER.test(text) || text === ANONYMOUS_KEYS;
}

/** Whether the caller asked to be hidden (RFC 3323). */
export function asksToBeHidden(value: string): boolean {
  return isHiddenCaller(value) && !NOT_KNOWN.test(value) && !NO_NUMBER.test(value);
}

/** `anonymous` on the keys of a telephone, as some networks send it. */
const ANONYMOUS_KEYS = "+266696687";
const HIDDEN_NAME =
  /^"?(?:anonymous|restricted|private|withheld|blocked|hidden|unknown|unavailable|not available)"?(?:@.*)?$/;
const HIDDEN_HOST = /@anonymous\.invalid(?:[;:>].*)?$/;
const NO_NUMBER = /^\+?0*$/;
const NOT_KNOWN = /unknown|unavailable|not available/i;

const MAX_REMEMBERED = 65_536;
const forms = new Map<string, readonly string[]>();

const ARGENTINA = "54";
const ITALY = "39";
/** Digits between calling code and number in one of two forms, and the number's length. */
const INFIXES: Readonly<Record<string, { infix: string; digits: number }>> = {
  // Mobiles: needed from abroad, in Mexico until 2019.
  [ARGENTINA]: { infix: "9", digits: 10 },
  "52": { infix: "1", digits: 10 },
  // Gabon's former trunk prefix.
  "241": { infix: "0", digits: 7 },
};
/** Longer ones cannot be dialled. */
const MAX_DIGITS = 22;
const E164 = /^\+[1-9][0-9]{1,14}$/;

const SCHEME = /^(?:sips?|tel):/i;
const IN_BRACKETS = /^[^<]*<([^>]*)>?.*$/s;
const CONTEXT = /;phone-context=\+([0-9]{1,3})(?![0-9])/i;
const SEPARATORS = /[\s\p{Zs}\p{Pd}\u2212().[\]{}/\\_~\u00b7\u2022\uff08\uff09\uff0e\uff0f]/gu;
// After the calling code, for callers at home.
const BRACKETED_ZERO = /^([^(]*[0-9][^(]*)[([\uff08]\s*0\s*[)\]\uff09]/u;
const ABROAD = /^(?:00|011)([1-9][0-9]+)$/;

const CALLING_CODES: ReadonlySet<string> = new Set(getCountries().map((country) => getCountryCallingCode(country)));
const TRUNK_PREFIXES: ReadonlyMap<string, readonly string[]> = readTrunkPrefixes();

function readTrunkPrefixes(): Map<string, string[]> {
  const prefixes = new Map<string, string[]>();
  const metadata = new Metadata();
  for (const country of getCountries()) {
    metadata.selectNumberingPlan(country);
    // Missing in the library's types.
    const plan = metadata.numberingPlan as { nationalPrefix?: () => string | undefined } | undefined;
    const prefix = plan?.nationalPrefix?.();
    if (!prefix) continue;
    const code = getCountryCallingCode(country);
    const known = prefixes.get(code) ?? [];
    if (!known.includes(prefix)) prefixes.set(code, [...known, prefix]);
  }
  return prefixes;
}

function startsWithTrunk(code: string, national: string): boolean {
  return TRUNK_PREFIXES.get(code)?.some((prefix) => national.startsWith(prefix)) === true;
}

function findForms(e164: string): readonly string[] {
  const canonical = canonicalNumber(e164);
  const code = callingCodeOf(canonical);
  const national = canonical.slice(1 + code.length);
  const infixed = INFIXES[code];
  const found = [e164, canonical];
  if (infixed && national.length === infixed.digits) found.push(`+${code}${infixed.infix}${national}`);
  if (code === ITALY && national.startsWith("0")) found.push(`+${code}${national.slice(1)}`);
  return [...new Set(found)].filter((form) => canonicalNumber(form) === canonical);
}

function inOneForm(code: string, national: string): string | undefined {
  const infixed = INFIXES[code];
  if (infixed) {
    const isInfixed = national.length === infixed.digits + 1 && national.startsWith(infixed.infix);
    return isInfixed ? `+${code}${national.slice(1)}` : undefined;
  }
  if (code !== ITALY || national.startsWith("0")) return undefined;
  // Without its zero it may be another number in service.
  return !isValid(`+${code}${national}`) && isValid(`+${code}0${national}`) ? `+${code}0${national}` : undefined;
}

function userOf(value: string): { user: string; context: string | undefined } {
  const uri = IN_BRACKETS.exec(value)?.[1] ?? value;
  const context = CONTEXT.exec(uri)?.[1];
  const isUri = SCHEME.test(uri);
  const user = uri
    .trim()
    .replace(SCHEME, "")
    .replace(isUri ? /[@;:?].*$/ : /[@;].*$/, "");
  return { user: user.replaceAll(/%2b/gi, "+").replaceAll(/%20/g, " "), context };
}

function readingsOf(text: string, country: string | undefined, context: string | undefined): string[] {
  if (text.length > MAX_DIGITS) return [];
  if (text.startsWith("+")) return E164.test(text) ? [canonicalNumber(text)] : [];
  if (!/^[0-9]{2,}$/.test(text)) return [];
  const found: (string | undefined)[] = [];
  const plan = isPlanned(country) ? { defaultCountry: country } : context && { defaultCallingCode: context };
  if (plan) found.push(possible(parsePhoneNumberFromString(text, plan)));
  const abroad = ABROAD.exec(text)?.[1];
  found.push(fromE164(abroad ?? text));
  const readings = found.filter((number) => number !== undefined);
  return [...new Set(readings.map(canonicalNumber))];
}

function fromE164(digits: string): string | undefined {
  const number = `+${digits}`;
  return E164.test(number) ? possible(parsePhoneNumberFromString(number)) : undefined;
}

function possible(read: ReturnType<typeof parsePhoneNumberFromString>): string | undefined {
  return read?.isPossible() ? read.number : undefined;
}

function digitsAtHome(e164: string): string {
  const digits =
    parsePhoneNumberFromString(e164)
      ?.formatNational()
      .replaceAll(/[^0-9]/g, "") ?? "";
  return digits.replace(/^0/, "");
}

function isValid(e164: string): boolean {
  return parsePhoneNumberFromString(e164)?.isValid() === true;
}

function isPlanned(country: string | undefined): country is CountryCode {
  return country !== undefined && isSupportedCountry(country);
}
