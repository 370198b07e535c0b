import { PartyKind } from "../../gen/tandem/type/v1/party_pb.js";
import { isE164, type Party } from "../calls/party.ts";
import {
  callingCodeIn,
  callingCodeOf,
  canonicalNumber,
  e164Forms,
  isCallingCode,
  isHiddenCaller,
  nationalDigitsOf,
  readSpelling,
} from "../numbers/spelling.ts";
import type { CommonFacts } from "./facts.ts";

/**
 * A party's number in a form that compares across spellings: first by what a spelling may mean. A
 * national number of an unknown country or with a routing prefix has no meaning of its own and is
 * compared from the right, where the subscriber's digits are.
 */
export interface NumberKey {
  readonly form: "E164" | "CODE" | "DIGITS" | "NAME";
  /**
   * E.164 without `+`, a code, the last unbroken digits of anything else, or a name in lower case.
   */
  readonly digits: string;
  /** Endings of any spelling: without calling code and trunk prefix. */
  readonly nationalDigits: readonly string[];
  /** Other than E.164: the numbers that it may mean, without `+`. */
  readonly readings: readonly string[];
  /** Its own calling code, else its country's; empty: unknown. */
  readonly callingCode: string;
  /** The last three digits, alike in every spelling: 0..999. */
  readonly tail: number;
}

/** Undefined: no number and no name is shown. */
export function numberKeyOf(party: Party): NumberKey | undefined {
  return party.value === undefined ? undefined : keyOf(party, party.value);
}

/** The E.164 numbers that a party may be, likeliest first; none of a code or name. */
export function numbersOfParty(party: Party): readonly string[] {
  if (party.kind === PartyKind.E164) return party.value === undefined ? NOTHING : e164Forms(party.value);
  const key = party.kind === PartyKind.NON_E164 ? numberKeyOf(party) : undefined;
  if (key === undefined) return NOTHING;
  const readings = key.form === "E164" ? [key.digits] : key.readings;
  return [...new Set(readings.flatMap((digits) => e164Forms(`+${digits}`)))];
}

/** The numbers of who called and who was called. Empty: restricted or unavailable. */
export interface CallNumbers {
  readonly callers: readonly NumberKey[];
  readonly called: readonly NumberKey[];
}

export function numbersOf({ calling, asserted, redirecting, called, dialed }: CommonFacts): CallNumbers {
  return { callers: keysOf(shown(calling), shown(asserted), shown(redirecting)), called: keysOf(called, dialed) };
}

// Many systems write a hidden caller as text.
function shown(party: Party | undefined): Party | undefined {
  return party?.value !== undefined && isHiddenCaller(party.value) ? undefined : party;
}

/**
 * Whether two records have the same parties: a caller in common (calling, asserted, redirecting)
 * and a called number (called, dialed). What one record hides equals anything if the other is
 * equal.
 */
export function areSameParties(a: CallNumbers, b: CallNumbers): boolean {
  if (isEqual(a.called, b.called)) {
    return a.callers.length === 0 || b.callers.length === 0 || isEqual(a.callers, b.callers);
  }
  return (a.called.length === 0 || b.called.length === 0) && isEqual(a.callers, b.callers);
}

/** Whether both show numbers of one side and have none in common. */
export function areContradicting(a: CallNumbers, b: CallNumbers): boolean {
  return isContradicting(a.callers, b.callers) || isContradicting(a.called, b.called);
}

export function isEqual(as: readonly NumberKey[], bs: readonly NumberKey[]): boolean {
  for (const a of as) {
    for (const b of bs) if (isSameNumber(a, b)) return true;
  }
  return false;
}

/** Whether both have telephone numbers, and none in common. */
export function isContradicting(as: readonly NumberKey[], bs: readonly NumberKey[]): boolean {
  if (!as.some(isTelephone) || !bs.some(isTelephone)) return false;
  return !as.some((a) => bs.some((b) => isSameNumber(a, b) || isLocal(a, b) || isLocal(b, a)));
}

// A local number may be in any area.
function isLocal(local: NumberKey, number: NumberKey): boolean {
  if (local.form !== "DIGITS" || number.form === "NAME" || local.digits.length < MIN_SUFFIX) return false;
  return number.digits.endsWith(local.digits) && isSameCountry(local, number);
}

/**
 * Whether two spellings are one number. E.164 numbers and names must be equal. Another spelling
 * equals an E.164 number that it may mean, that ends with all its digits, or whose national digits
 * stand after a trunk or routing prefix, if that is not another country's calling code. Two such
 * spellings are equal if they may mean one number, or one ends with at least seven digits of the
 * other, apart from a trunk prefix.
 */
export function isSameNumber(a: NumberKey, b: NumberKey): boolean {
  if (a === b) return true;
  if (a.form === b.form && a.form !== "DIGITS") return a.digits === b.digits && isSameCountry(a, b);
  if (a.form === "NAME" || b.form === "NAME") return false;
  if (a.form === "E164") return isNumber(b, a);
  if (b.form === "E164") return isNumber(a, b);
  if (a.readings.some((reading) => b.readings.includes(reading))) return true;
  if (!isSameCountry(a, b)) return false;
  const [short, long] = a.digits.length < b.digits.length ? [a, b] : [b, a];
  if (short.form === "CODE" || long.form === "CODE") return isCode(long, short);
  return short.digits === long.digits || endsWithSpelling(long, short);
}

const MIN_SUFFIX = 7;
/** Shorter national numbers would end many others. */
const MIN_NATIONAL = 5;
const MAX_REMEMBERED = 65_536;
const NO_NUMBERS: readonly NumberKey[] = [];
const NOTHING: readonly string[] = [];
/**
 * An erased number equals only erased ones. If it counted as hidden, its call could take another's
 * counterpart.
 */
const ERASED = nameKey("\0erased", 0);
const remembered = new Map<string, NumberKey>();

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
  if (isE164(value)) return e164Key(value);
  const callingCode = callingCodeIn(countryCode);
  if (kind === PartyKind.SHORT_CODE || kind === PartyKind.EMERGENCY) {
    // 112 is the same everywhere; a short code belongs to its country.
    return digitsKey("CODE", value, kind === PartyKind.EMERGENCY ? "" : callingCode);
  }
  const { text, readings } = readSpelling(value, countryCode);
  if (isE164(text)) return e164Key(text);
  const digits = PREFIXED.exec(text)?.[1];
  if (digits !== undefined) {
    const behind = digits === text ? readings : readSpelling(digits, countryCode).readings;
    const numbers = behind.map((number) => number.slice(1));
    return digitsKey("DIGITS", digits, callingCode, numbers);
  }
  const name = value.toLowerCase();
  return name === "" ? undefined : nameKey(name, hashOf(name) % 1_000);
}

function nameKey(digits: string, tail: number): NumberKey {
  return { form: "NAME", digits, nationalDigits: NOTHING, readings: NOTHING, callingCode: "", tail };
}

// Service codes (*31#) and routing prefixes (hexadecimal, Q.769.1) precede the digits.
const PREFIXED = /^\+?[0-9A-F*#]*?([0-9]{2,})$/;

function e164Key(number: string): NumberKey {
  const canonical = canonicalNumber(number);
  return {
    form: "E164",
    digits: canonical.slice(1),
    nationalDigits: nationalDigitsOf(canonical),
    readings: NOTHING,
    callingCode: callingCodeOf(canonical),
    tail: tailOf(canonical),
  };
}

function digitsKey(form: "CODE" | "DIGITS", digits: string, callingCode: string, readings = NOTHING): NumberKey {
  return { form, digits, nationalDigits: [digits], readings, callingCode, tail: tailOf(digits) };
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

function isNumber(spelled: NumberKey, number: NumberKey): boolean {
  if (spelled.readings.includes(number.digits) || spelled.digits.endsWith(number.digits)) return true;
  if (!isSameCountry(spelled, number)) return false;
  return number.nationalDigits.some((national) => endsWithNational(spelled, national, number.callingCode));
}

function endsWithNational(spelled: NumberKey, national: string, callingCode: string): boolean {
  if (!spelled.digits.endsWith(national)) return false;
  const prefix = spelled.digits.slice(0, spelled.digits.length - national.length);
  if (prefix === "") return true;
  if (spelled.form === "CODE" || national.length < MIN_NATIONAL) return false;
  const code = prefix.replace(ABROAD, "");
  return !isCallingCode(code) || code === callingCode;
}

function endsWithSpelling({ digits: long }: NumberKey, { digits: short, callingCode }: NumberKey): boolean {
  if (short.length >= MIN_SUFFIX && long.endsWith(short)) return true;
  const national = short.replace(/^0/, "");
  if (national.length < MIN_SUFFIX || !long.endsWith(national)) return false;
  const code = long.slice(0, -national.length).replace(ABROAD, "");
  return code === "" || (isCallingCode(code) && (callingCode === "" || callingCode === code));
}

const ABROAD = /^(?:00|011)/;

// A code is written as it is, or after its country's calling code.
function isCode(long: NumberKey, short: NumberKey): boolean {
  if (long.digits === short.digits) return true;
  return short.callingCode !== "" && long.digits === short.callingCode + short.digits;
}
