import {
  type CountryCode,
  getCountryCallingCode,
  isSupportedCountry,
  parsePhoneNumberFromString,
} from "libphonenumber-js/max";
import { isE164 } from "../calls/party.ts";
import { callingCodeOf } from "./spelling.ts";

/**
 * Whether a number could be in use, by calling code and length: libphonenumber's "possible", since
 * its "valid" lags new ranges. `+44 0 20...` is refused as a second spelling.
 */
export function isPossibleNumber(text: string): boolean {
  if (!isE164(text)) return false;
  const parsed = parsePhoneNumberFromString(text);
  return parsed !== undefined && parsed.number === text && parsed.isPossible();
}

/** Whether a text is a whole number and no prefix. In open plans short numbers are prefixes. */
export function isWholeNumber(text: string): boolean {
  if (!goesOn(text, isPossibleNumber)) return true;
  return isValidNumber(text) && !goesOn(text, isValidNumber);
}

/** A service of no country. */
export function isGlobalService(e164: string): boolean {
  return GLOBAL_SERVICES.has(e164.slice(1, 4));
}

export function isServedByCallingCode(e164: string, countryCode: string): boolean {
  if (!isSupportedCountry(countryCode)) return false;
  return callingCodeOf(e164) === getCountryCallingCode(countryCode as CountryCode);
}

function isValidNumber(text: string): boolean {
  const parsed = parsePhoneNumberFromString(text);
  return parsed !== undefined && parsed.number === text && parsed.isValid();
}

// Plans tell numbers apart by their first digits, so one repeated digit stands for all (tested).
function goesOn(text: string, isNumber: (longer: string) => boolean): boolean {
  for (const digit of "0123456789")
    for (let longer = text + digit; longer.length <= MAX_LENGTH; longer += digit) if (isNumber(longer)) return true;
  return false;
}

/** With the `+`. */
const MAX_LENGTH = 16;

/** ITU-T E.164.1: global services, groups of countries, networks. */
const GLOBAL_SERVICES: ReadonlySet<string> = new Set(["800", "808", "870", "878", "881", "882", "883", "888", "979"]);
