import { DIGIT_SET, digitOf } from "../numbers/decimal-digits.ts";

/** Masks the last three digits of what could be a telephone number. Days `YYYY-MM-DD` stay. */
export function maskNumbers(text: string): string {
  return maskText(text, { shownAs: "TEXT" });
}

/** Masks only numbers marked by `+`, 00, 011, tel: or sip:. For others' ids. */
export function maskInternational(text: string): string {
  return maskText(text, { shownAs: "ID" });
}

/**
 * Masks our own text for logs. UUIDs, hashes, days, times and round numbers stay.
 * @param known counts, and beginnings of numbers with their `+`, that stay too.
 */
export function maskReport(text: string, known: readonly string[] = []): string {
  return maskText(text, { shownAs: "REPORT", known });
}

/** Whether an id may hold a number: seven digits without letters; a UUID's groups count alone. */
export function mayHoldNumber(id: string): boolean {
  const told = RANDOM_UUID.test(id) ? id : plainDigits(id).replaceAll(/[^\p{L}\p{N}]/gu, "");
  return /[0-9]{7}/.test(told);
}

export interface TextMasking {
  /** Somebody's words, an id of others, or our own report. */
  readonly shownAs: "TEXT" | "ID" | "REPORT";
  /** Numbers that are masked in any spelling. */
  readonly numbers?: readonly MaskedNumber[] | undefined;
  readonly known?: readonly string[] | undefined;
}

export interface MaskedNumber {
  /** Digits without calling code and trunk prefix, with which every spelling ends. */
  readonly nationalDigits: string;
  /** Whether all digits are masked, since the person asked not to be shown. */
  readonly isHidden: boolean;
}

/** Replaces digits only. */
export function maskText(text: string, { shownAs, numbers = [], known = [] }: TextMasking): string {
  if (!MAY_HOLD_NUMBER.test(text)) return text;
  const characters = [...text];
  const digits = characters.map(digitOf);
  const stars = new Set<number>();
  for (const run of runsOf(characters, digits, isGapOfWords)) starNumbers(run, digits, numbers, stars);
  const kept = keptSpans(text, characters, shownAs);
  const open = digits.map((digit, at) => (kept.has(at) ? undefined : digit));
  const runs =
    shownAs === "TEXT"
      ? runsOf(characters, open, isGapOfWords).flatMap((run) => itemsOf(characters, run))
      : runsOf(characters, open, isGap);
  for (const run of runs) {
    if (isNumber(characters, open, run, shownAs, known)) starRun(run, stars);
  }
  return characters.map((character, at) => (stars.has(at) ? "*" : character)).join("");
}

/** Masks the last three digits, whatever stands between them; short numbers whole. */
export function maskLastDigits(number: string): string {
  const characters = [...number];
  let left = SHOWN_AS_STARS;
  for (let at = characters.length - 1; at >= 0 && left > 0; at--) {
    if (digitOf(characters[at] ?? "") === undefined) continue;
    characters[at] = "*";
    left--;
  }
  return characters.join("");
}

/** ASCII digits for all Unicode digits, without what hides between them: for comparing. */
export function plainDigits(text: string): string {
  return PLAIN.test(text) ? text : [...text.replaceAll(ALL_HIDDEN, "")].map(plainCharacter).join("");
}

/** Whether a character may stand inside a number. */
export function isBetweenDigits(character: string): boolean {
  return GAP.test(character);
}

/** Whether a character is invisible or only marks the one before. */
export function isUnseen(character: string): boolean {
  return HIDDEN.test(character);
}

/** As ASCII. */
export function digitsOf(text: string): string {
  return plainDigits(text).replaceAll(/[^0-9]/g, "");
}

/** Masked digits at the end of a number. */
const SHOWN_AS_STARS = 3;
/** Fewer digits are a code or a count. */
const MIN_DIGITS = 7;
/** More digits are several numbers side by side. */
const MAX_DIGITS = 13;
/** Digits of such a run that are shown. */
const SHOWN_OF_SEVERAL = 4;
/** Most visible characters between two digits of a number; adjacent spaces count once. */
const MAX_GAP = 3;
/** Shorter national numbers are parts of many others, so they count at the end of a run only. */
const MIN_FOUND_ANYWHERE = 7;

const MAY_HOLD_NUMBER = new RegExp(`[${DIGIT_SET}](?:[^${DIGIT_SET}]*[${DIGIT_SET}]){4}`, "u");
/** What may be written between digits, also to escape masking. */
const GAP =
  /^[\p{Zs}\p{Zl}\p{Zp}\p{Cc}\p{Pd}\u2212().[\]{}/\\_~\u00b7\u2022\u2024\u2027\u22c5\u2044\u2215\uff08\uff09\uff0e\uff0f\uff3b\uff3d]$/u;
/** Separates list items, and in words digits too. */
const LIST_MARK =
  /^[,:;*\u060c\u061b\u066b\u066c\u2217\u3001\uff0a\uff0c\uff1a\uff1b\uff64\ufe50\ufe51\ufe54\ufe55\ufe61]$/u;
const isGap = (character: string) => GAP.test(character);
const isGapOfWords = (character: string) => GAP.test(character) || LIST_MARK.test(character);
const SPACE = /^[\p{Zs}\t\r\n]$/u;
/** Zero-width characters and combining marks. */
const HIDDEN = /^[\p{Cf}\p{M}\u115f\u1160\u3164\uffa0]$/u;
const ALL_HIDDEN = /[\p{Cf}\p{M}\u115f\u1160\u3164\uffa0]/gu;
// biome-ignore lint/suspicious/noControlCharactersInRegex: whatever is ASCII is plain
const PLAIN = /^[\u0000-\u007f]*$/;

function plainCharacter(character: string): string {
  return digitOf(character)?.toString() ?? PLAIN_FORMS[character] ?? character;
}

const PLAIN_FORMS: Readonly<Record<string, string>> = { "\uff0b": "+", "\ufe62": "+", "\u207a": "+" };

/** Positions of a run's digits. */
type Run = readonly number[];

function runsOf(
  characters: readonly string[],
  digits: readonly (number | undefined)[],
  mayStandBetween: (character: string) => boolean,
): Run[] {
  const runs: number[][] = [];
  let run: number[] = [];
  let gap = 0;
  for (const [at, character] of characters.entries()) {
    if (digits[at] !== undefined) {
      if (gap > MAX_GAP) run = [];
      if (run.length === 0) runs.push(run);
      run.push(at);
      gap = 0;
    } else if (mayStandBetween(character)) gap += lengthInGap(characters, at);
    else if (!HIDDEN.test(character)) gap = MAX_GAP + 1;
  }
  return runs;
}

function lengthInGap(characters: readonly string[], at: number): number {
  const isWider = SPACE.test(characters[at] ?? "") && SPACE.test(characters[at - 1] ?? "");
  return isWider ? 0 : 1;
}

// Splits a list at its marks, so that each number is shown in part.
function itemsOf(characters: readonly string[], run: Run): Run[] {
  const items: number[][] = [];
  let group: number[] = [];
  for (const next of groupsOf(run)) {
    const between = characters.slice((group.at(-1) ?? 0) + 1, next[0]);
    const areNumbers = Math.max(group.length, next.length) >= MIN_DIGITS;
    if (group.length === 0 || (areNumbers && between.some((character) => LIST_MARK.test(character)))) items.push([]);
    items.at(-1)?.push(...next);
    group = next;
  }
  return items;
}

// Adjacent digits.
function groupsOf(run: Run): number[][] {
  const groups: number[][] = [];
  for (const [index, at] of run.entries()) {
    if (index === 0 || run[index - 1] !== at - 1) groups.push([]);
    groups.at(-1)?.push(at);
  }
  return groups;
}

function starNumbers(
  run: Run,
  digits: readonly (number | undefined)[],
  numbers: readonly MaskedNumber[],
  stars: Set<number>,
): void {
  if (numbers.length === 0) return;
  const spelled = run.map((at) => digits[at]).join("");
  for (const { nationalDigits, isHidden } of numbers) {
    for (const found of placesOf(nationalDigits, spelled)) {
      const end = found + nationalDigits.length;
      const from = isHidden ? found : Math.max(found, end - SHOWN_AS_STARS);
      for (const at of run.slice(from, end)) stars.add(at);
    }
  }
}

function placesOf(number: string, spelled: string): number[] {
  const places: number[] = [];
  if (number === "") return places;
  for (let found = spelled.indexOf(number); found >= 0; found = spelled.indexOf(number, found + 1)) {
    const isAtEnd = found + number.length === spelled.length;
    if (isAtEnd || number.length >= MIN_FOUND_ANYWHERE) places.push(found);
  }
  return places;
}

function isNumber(
  characters: readonly string[],
  digits: readonly (number | undefined)[],
  run: Run,
  shownAs: TextMasking["shownAs"],
  known: readonly string[],
): boolean {
  if (run.length < MIN_DIGITS) return false;
  const first = run[0] ?? 0;
  const before = characters.slice(Math.max(0, first - 8), first).join("");
  const spelled = run.map((at) => digits[at]).join("");
  if (SAYS_SO.test(before)) return !known.includes(`+${spelled}`);
  switch (shownAs) {
    case "TEXT":
      return true;
    case "ID":
      return DIALLED.test(spelled);
    case "REPORT":
      return !known.includes(spelled) && !ROUND.test(spelled);
    default:
      return shownAs satisfies never;
  }
}

/** Marks a number as one. */
const SAYS_SO = /(?:[+\uff0b\ufe62\u207a]|%2b|tel:|sips?:)[\p{Zs}\p{Cf}(]{0,3}$/iu;
/** With an international prefix. */
const DIALLED = /^(?:00|011)[1-9]\d{6,}$/;
/** Looks like a limit. */
const ROUND = /^[1-9]\d?0{5,}$/;

// The last three digits of a run; of several numbers, all but the first few.
function starRun(run: Run, stars: Set<number>): void {
  if (run.length > MAX_DIGITS) {
    for (const at of run.slice(SHOWN_OF_SEVERAL)) stars.add(at);
    return;
  }
  for (const [index, at] of run.entries()) {
    const group = run.slice(index - MIN_DIGITS + 1, index + 1);
    const isWholeNumber = group.length === MIN_DIGITS && at - (group[0] ?? 0) === MIN_DIGITS - 1;
    const endsGroup = run[index + 1] !== at + 1;
    if (index === run.length - 1 || (isWholeNumber && endsGroup))
      for (const star of run.slice(index - SHOWN_AS_STARS + 1, index + 1)) stars.add(star);
  }
}

// Spans that stay.
function keptSpans(text: string, characters: readonly string[], shownAs: TextMasking["shownAs"]): ReadonlySet<number> {
  const kept = new Set<number>();
  const pattern = shownAs === "TEXT" ? TIME : TIME_OR_ID;
  if (text.search(pattern) < 0) return kept;
  const unitsBefore = characters.length === text.length ? undefined : startsOf(characters);
  for (const { index, 0: found } of text.matchAll(pattern)) {
    for (let unit = index; unit < index + found.length; unit++) kept.add(unitsBefore?.get(unit) ?? unit);
  }
  return kept;
}

function startsOf(characters: readonly string[]): ReadonlyMap<number, number> {
  const starts = new Map<number, number>();
  let unit = 0;
  for (const [at, character] of characters.entries()) {
    starts.set(unit, at);
    unit += character.length;
  }
  return starts;
}

const DAY_AND_TIME =
  "(?<![\\d+])(?:19|20)\\d{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\\d|3[01])(?:[T ]\\d{2}:\\d{2}(?::\\d{2}(?:\\.\\d{1,9})?)?(?:Z|[+-]\\d{2}:\\d{2})?|(?![\\d-]))";
const UUID = "(?<![0-9a-f-])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f-])";
const RANDOM_UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;
const HASH = "(?<![0-9a-f])(?=[0-9]*[a-f])[0-9a-f]{32,}";
const YEARS = "(?:0001-01-01|9999-12-31)T\\d{2}:\\d{2}:\\d{2}(?:\\.\\d{1,9})?Z";
const TIME = new RegExp(DAY_AND_TIME, "g");
const TIME_OR_ID = new RegExp(`${UUID}|${HASH}|${YEARS}|${DAY_AND_TIME}`, "gi");
