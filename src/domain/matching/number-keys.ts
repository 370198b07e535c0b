import { getCountries, getCountryCallingCode } from "libphonenumber-js/min";
import { isE164, type Party, PartyKind } from "../party.ts";
import type { CommonFacts } from "./facts.ts";

/**
 * A party's number in the form in which both sides' spellings can be compared. Not a normal form: a national number or a routing prefix cannot be
 * resolved without the plan of whoever wrote it, and libphonenumber takes 15 µs a number. Two spellings are held against each other from the right
 * instead, where every plan has the subscriber's digits.
 */
export interface NumberKey {
  readonly form: "E164" | "CODE" | "DIGITS" | "NAME";
  /** E.164 without `+`; the digits of a code; the last unbroken digits of anything else; of a user name its text in lower case. */
  readonly digits: string;
  /** The digits without the calling code; the same as digits where there is none. */
  readonly nationalDigits: string;
  /** Of an E.164 number its own, else that of the party's country; empty when unknown. */
  readonly callingCode: string;
  /** The last three digits as a number, 0..999: every spelling of a number has the same. */
  readonly tail: number;
}

/** What may be compared of one party; undefined: it shows no number and no name. */
export function numberKeyOf(party: Party): NumberKey | undefined {
  return party.value === undefined ? undefined : keyOf(party, party.value);
}

/** The numbers of a call that may be compared, each once: who called, and who was called. Empty: that side is restricted or unavailable. */
export interface CallNumbers {
  readonly callers: readonly NumberKey[];
  readonly called: readonly NumberKey[];
}

/** What may be compared of a record's parties. */
export function numbersOf({ calling, asserted, redirecting, called, dialed }: CommonFacts): CallNumbers {
  return { callers: keysOf(calling, asserted, redirecting), called: keysOf(called, dialed) };
}

/**
 * Whether two records are of the same parties: any of calling, asserted and redirecting equal, and called or dialed equal. A side of the call that
 * one record does not show is equal to any, as long as the other side of the call is shown and equal.
 */
export function areSameParties(a: CallNumbers, b: CallNumbers): boolean {
  if (isEqual(a.called, b.called)) {
    return a.callers.length === 0 || b.callers.length === 0 || isEqual(a.callers, b.callers);
  }
  return (a.called.length === 0 || b.called.length === 0) && isEqual(a.callers, b.callers);
}

/** Whether two records cannot be of the same call: both show who called, or who was called, in numbers, and none is equal. */
export function areContradicting(a: CallNumbers, b: CallNumbers): boolean {
  return isContradicting(a.callers, b.callers) || isContradicting(a.called, b.called);
}

/** Whether any number of one list is the same as any of the other. */
export function isEqual(as: readonly NumberKey[], bs: readonly NumberKey[]): boolean {
  for (const a of as) {
    for (const b of bs) if (isSameNumber(a, b)) return true;
  }
  return false;
}

/** Whether both lists have telephone numbers, and none of one is among the other's. */
export function isContradicting(as: readonly NumberKey[], bs: readonly NumberKey[]): boolean {
  return as.some(isTelephone) && bs.some(isTelephone) && !isEqual(as, bs);
}

/**
 * Whether two spellings are of one number. E.164 numbers and names are the same only when they are equal. A national, prefixed or international
 * spelling is an E.164 number's when it ends with all its digits, or with the national ones after a trunk or routing prefix; what stands before may
 * not be another country's calling code. Two such spellings are the same when one ends with the other and that has at least seven digits.
 */
export function isSameNumber(a: NumberKey, b: NumberKey): boolean {
  if (a === b) return true;
  if (a.form === b.form && a.form !== "DIGITS") return a.digits === b.digits && isSameCountry(a, b);
  if (a.form === "NAME" || b.form === "NAME") return false;
  if (a.form === "E164") return endsWithNumber(b, a);
  if (b.form === "E164") return endsWithNumber(a, b);
  if (!isSameCountry(a, b)) return false;
  const [short, long] = a.digits.length < b.digits.length ? [a, b] : [b, a];
  if (short.form === "CODE" || long.form === "CODE") return isCode(long, short);
  return short.digits === long.digits || (short.digits.length >= MIN_SUFFIX && long.digits.endsWith(short.digits));
}

const MIN_SUFFIX = 7;
/** A national number this short, behind a prefix, would be found at the end of many others. */
const MIN_NATIONAL = 5;
const MAX_REMEMBERED = 65_536;
const NO_NUMBERS: readonly NumberKey[] = [];
/**
 * What an erased number compares as: equal to an erased one and to nothing else. Were it as good as hidden, it would be equal to any number, and a
 * call of which it was erased could take the counterpart of another.
 */
const ERASED: NumberKey = { form: "NAME", digits: "\0erased", nationalDigits: "", callingCode: "", tail: 0 };
const remembered = new Map<string, NumberKey>();
const CALLING_CODES: ReadonlySet<string> = new Set(getCountries().map((country) => getCountryCallingCode(country)));
const CALLING_CODE_OF: ReadonlyMap<string, string> = new Map(
  getCountries().map((country) => [country, getCountryCallingCode(country)]),
);

function keysOf(...parties: readonly (Party | undefined)[]): readonly NumberKey[] {
  let keys: NumberKey[] | undefined;
  for (const party of parties) {
    const key = party && (party.kind === PartyKind.ERASED ? ERASED : numberKeyOf(party));
    if (key === undefined) continue;
    if (keys === undefined) keys = [key];
    else if (!keys.includes(key)) keys.push(key);
  }
  return keys ?? NO_NUMBERS;
}

function keyOf(party: Party, value: string): NumberKey | undefined {
  if (party.kind < PartyKind.E164 || party.kind > PartyKind.NON_E164) return undefined;
  const name = party.kind === PartyKind.E164 ? value : `${party.kind}${party.countryCode ?? ""}|${value}`;
  const known = remembered.get(name);
  if (known !== undefined) return known;
  const key = readKey(party, value);
  if (key === undefined) return undefined;
  if (remembered.size >= MAX_REMEMBERED) remembered.clear();
  remembered.set(name, key);
  return key;
}

function readKey({ kind, countryCode }: Party, value: string): NumberKey | undefined {
  if (isE164(value)) return e164Key(value.slice(1));
  const callingCode = CALLING_CODE_OF.get(countryCode ?? "") ?? "";
  if (kind === PartyKind.SHORT_CODE || kind === PartyKind.EMERGENCY) {
    // 112 is the same emergency number everywhere; a short code is its country's.
    return digitsKey("CODE", value, kind === PartyKind.EMERGENCY ? "" : callingCode);
  }
  const text = value.replace(SCHEME, "").replace(AFTER_USER, "").replaceAll(SEPARATORS, "");
  if (isE164(text)) return e164Key(text.slice(1));
  const digits = PREFIXED.exec(text)?.[1];
  if (digits !== undefined) return digitsKey("DIGITS", digits, callingCode);
  const name = value.toLowerCase();
  return name === ""
    ? undefined
    : { form: "NAME", digits: name, nationalDigits: name, callingCode: "", tail: hashOf(name) % 1_000 };
}

const SCHEME = /^(?:sips?|tel):/i;
const AFTER_USER = /[@;].*$/;
const SEPARATORS = /[ ().\-/]/g;
// Service codes (*31#) and routing prefixes (hexadecimal digits in ported numbers, Q.769.1) stand before the digits.
const PREFIXED = /^\+?[0-9A-F*#]*?([0-9]{2,})$/;

function e164Key(digits: string): NumberKey {
  const callingCode = [1, 2, 3].map((length) => digits.slice(0, length)).find((code) => CALLING_CODES.has(code)) ?? "";
  const nationalDigits = digits.slice(callingCode.length);
  return { form: "E164", digits, nationalDigits, callingCode, tail: tailOf(digits) };
}

function digitsKey(form: "CODE" | "DIGITS", digits: string, callingCode: string): NumberKey {
  return { form, digits, nationalDigits: digits, callingCode, tail: tailOf(digits) };
}

function tailOf(digits: string): number {
  return Number(digits.slice(-3));
}

function hashOf(text: string): number {
  let hash = 0;
  for (let index = 0; index < text.length; index++) hash = (hash * 31 + text.charCodeAt(index)) >>> 0;
  return hash;
}

function isTelephone({ form }: NumberKey): boolean {
  return form !== "NAME";
}

function isSameCountry(a: NumberKey, b: NumberKey): boolean {
  return a.callingCode === b.callingCode || a.callingCode === "" || b.callingCode === "";
}

function endsWithNumber(spelled: NumberKey, number: NumberKey): boolean {
  if (spelled.digits.endsWith(number.digits)) return true;
  if (!spelled.digits.endsWith(number.nationalDigits) || !isSameCountry(spelled, number)) return false;
  const prefix = spelled.digits.slice(0, spelled.digits.length - number.nationalDigits.length);
  if (prefix === "") return true;
  if (spelled.form === "CODE" || number.nationalDigits.length < MIN_NATIONAL) return false;
  const code = prefix.replace(/^(?:00|011)/, "");
  return !CALLING_CODES.has(code) || code === number.callingCode;
}

// A code is dialled as it is, or written behind its country's calling code.
function isCode(long: NumberKey, short: NumberKey): boolean {
  if (long.digits === short.digits) return true;
  return short.callingCode !== "" && long.digits === short.callingCode + short.digits;
}
