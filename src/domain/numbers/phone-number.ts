import {
  type CountryCode,
  getCountryCallingCode,
  isSupportedCountry,
  parsePhoneNumberFromString,
} from "libphonenumber-js/max";

/**
 * Whether a text has the syntax of an E.164 number: `+` and 2 to 15 digits, the first not 0 (ITU-T
 * E.164).
 */
export function isE164(text: string): boolean {
  return E164.test(text);
}

/**
 * Whether a number could be somebody's: E.164 by its syntax, under a calling code that exists, and
 * of a length that its plan has. By "possible" rather than "valid" of libphonenumber, whose
 * metadata lags new ranges and knows no test ranges. A number written with its national prefix
 * (`+44 0 20...`) is not: it would be a second spelling of another.
 */
export function isPossibleNumber(text: string): boolean {
  if (!isE164(text)) return false;
  const parsed = parsePhoneNumberFromString(text);
  return parsed !== undefined && parsed.number === text && parsed.isPossible();
}

/**
 * Whether a text can only be a whole number, or none, and no beginning of numbers: nothing longer
 * that begins so is possible, or it is valid and nothing longer is. In an open numbering plan a
 * short number may begin longer ones: what may be either is a beginning.
 */
export function isWholeNumber(text: string): boolean {
  if (!goesOn(text, isPossibleNumber)) return true;
  return isValidNumber(text) && !goesOn(text, isValidNumber);
}

/** Whether an E.164 number is of an ITU global service, which belongs to no country. */
export function isGlobalService(e164: string): boolean {
  return GLOBAL_SERVICES.has(e164.slice(1, 4));
}

/** Whether a country, ISO 3166-1 alpha-2, uses the calling code of an E.164 number. */
export function isServedByCallingCode(e164: string, countryCode: string): boolean {
  if (!isSupportedCountry(countryCode)) return false;
  return callingCodeOf(e164) === getCountryCallingCode(countryCode as CountryCode);
}

/** The number as a tel URI (RFC 3966): global, without visual separators or parameters. */
export function formatTelUri(e164: string): string {
  return `tel:${e164}`;
}

/**
 * The E.164 number of a global tel URI (RFC 3966, section 3), without its visual separators and
 * parameters; undefined if it is none.
 */
export function parseTelUri(uri: string): string | undefined {
  const match = TEL_URI.exec(uri);
  const number = match?.[1]?.replaceAll(/[-.()]/g, "");
  return number !== undefined && isE164(number) ? number : undefined;
}

function isValidNumber(text: string): boolean {
  const parsed = parsePhoneNumberFromString(text);
  return parsed !== undefined && parsed.number === text && parsed.isValid();
}

// Plans tell numbers apart by what they begin with; at their end they take any digits, so that the
// same one over and over stands for all. Shown by a test on a number of every country.
function goesOn(text: string, isNumber: (longer: string) => boolean): boolean {
  for (const digit of "0123456789")
    for (let longer = text + digit; longer.length <= MAX_LENGTH; longer += digit) if (isNumber(longer)) return true;
  return false;
}

/** Of an E.164 number, with its `+`. */
const MAX_LENGTH = 16;
const E164 = /^\+[1-9][0-9]{1,14}$/;

/**
 * Country calling codes that ITU-T E.164.1 gives to global services, groups of countries and
 * networks.
 */
const GLOBAL_SERVICES: ReadonlySet<string> = new Set(["800", "808", "870", "878", "881", "882", "883", "888", "979"]);

// RFC 3966: global-number = "+" digits and visual separators; par = ";" parameter; pct-encoded and
// the characters of paramchar in values.
const PARAM = String.raw`;[A-Za-z0-9-]+(?:=(?:[A-Za-z0-9\-_.!~*'()[\]/:&+$]|%[0-9A-Fa-f]{2})+)?`;
const TEL_URI = new RegExp(String.raw`^[Tt][Ee][Ll]:(\+[0-9().-]+)(?:${PARAM})*$`);

// The calling codes are prefix-free, so the first length that the metadata knows is the one.
function callingCodeOf(e164: string): string | undefined {
  return parsePhoneNumberFromString(e164)?.countryCallingCode;
}
