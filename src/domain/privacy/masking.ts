import { DIGIT_SET, digitOf } from "../numbers/decimal-digits.ts";

/**
 * A text with the last three digits of everything in it that could be a telephone number as `***`.
 * Days `YYYY-MM-DD` stay.
 */
export function maskNumbers(text: string): string {
  return maskText(text, { shownAs: "TEXT" });
}

/**
 * A text with the last three digits of every number that says it is one as `***`: written with its
 * `+`, with 00 or 011, or in a tel: or sip: URI. For ids of others, such as those of the
 * signalling, which are full of digits that must stay.
 */
export function maskInternational(text: string): string {
  return maskText(text, { shownAs: "ID" });
}

/**
 * A text of our own with what may be a number in it masked, for logs and errors. UUIDs, hashes,
 * days, times and round numbers stay.
 * @param known counts of ours that the text repeats, and beginnings of numbers with their `+`: they
 *   stay too.
 */
export function maskReport(text: string, known: readonly string[] = []): string {
  return maskText(text, { shownAs: "REPORT", known });
}

/**
 * Whether a telephone number may be in an id that anybody chose: seven digits in a row, whatever
 * but letters stands between them. Of a random UUID each group counts for itself, since many have
 * seven digits across their dashes. What looks like another UUID, a hash or a time may be made to
 * hold one.
 */
export function mayHoldNumber(id: string): boolean {
  const told = RANDOM_UUID.test(id) ? id : plainDigits(id).replaceAll(/[^\p{L}\p{N}]/gu, "");
  return /[0-9]{7}/.test(told);
}

/** How a text is masked. */
export interface TextMasking {
  /** What the text is: words of somebody's, an id of others, or a report of ours. */
  readonly shownAs: "TEXT" | "ID" | "REPORT";
  /**
   * National significant numbers that are masked in whatever spelling, with their last three
   * digits, or whole.
   */
  readonly numbers?: readonly MaskedNumber[] | undefined;
  /** Runs of digits that stay. */
  readonly known?: readonly string[] | undefined;
}

/** A number to be masked wherever it stands. */
export interface MaskedNumber {
  /** Its digits without calling code or trunk prefix, which every spelling ends with. */
  readonly nationalDigits: string;
  /**
   * Whether all of its digits go, and not the last three only: that of who asked not to be shown.
   */
  readonly isHidden: boolean;
}

/** A text with its numbers masked. What is no digit stays as it is. */
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

/**
 * A number with its last three digits as `***`, whatever stands between them; one of three digits
 * or fewer is masked whole.
 */
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

/**
 * A text with every digit of Unicode as that of ASCII, and without what hides between digits: for
 * comparing numbers.
 */
export function plainDigits(text: string): string {
  return PLAIN.test(text) ? text : [...text.replaceAll(ALL_HIDDEN, "")].map(plainCharacter).join("");
}

/** Whether a character may stand between two digits of one number. */
export function isBetweenDigits(character: string): boolean {
  return GAP.test(character);
}

/** Whether nobody sees a character, or it only marks the one before. */
export function isUnseen(character: string): boolean {
  return HIDDEN.test(character);
}

/** The digits of a text, as those of ASCII. */
export function digitsOf(text: string): string {
  return plainDigits(text).replaceAll(/[^0-9]/g, "");
}

/** How many digits at the end of a number are not shown. */
const SHOWN_AS_STARS = 3;
/** Fewer digits are a code or a count, not somebody's number. */
const MIN_DIGITS = 7;
/**
 * More digits than a number has: several that stand side by side, of which one cannot tell where
 * each ends.
 */
const MAX_DIGITS = 13;
/** Of which so many are shown. */
const SHOWN_OF_SEVERAL = 4;
/**
 * Most characters between two digits of one number, besides those that nobody sees; spaces side by
 * side are one.
 */
const MAX_GAP = 3;
/** Shorter national numbers are found in many others: they count at the end of a run only. */
const MIN_FOUND_ANYWHERE = 7;

const MAY_HOLD_NUMBER = new RegExp(`[${DIGIT_SET}](?:[^${DIGIT_SET}]*[${DIGIT_SET}]){4}`, "u");
/** What people, switches and those who want to be overlooked write between digits. */
const GAP =
  /^[\p{Zs}\p{Zl}\p{Zp}\p{Cc}\p{Pd}\u2212().[\]{}/\\_~\u00b7\u2022\u2024\u2027\u22c5\u2044\u2215\uff08\uff09\uff0e\uff0f\uff3b\uff3d]$/u;
/**
 * What stands between the items of a list, and in words between digits as well: commas, colons,
 * semicolons, stars.
 */
const LIST_MARK =
  /^[,:;*\u060c\u061b\u066b\u066c\u2217\u3001\uff0a\uff0c\uff1a\uff1b\uff64\ufe50\ufe51\ufe54\ufe55\ufe61]$/u;
const isGap = (character: string) => GAP.test(character);
const isGapOfWords = (character: string) => GAP.test(character) || LIST_MARK.test(character);
const SPACE = /^[\p{Zs}\t\r\n]$/u;
/**
 * What takes no room: formats such as zero-width characters, and marks upon the character before.
 */
const HIDDEN = /^[\p{Cf}\p{M}\u115f\u1160\u3164\uffa0]$/u;
const ALL_HIDDEN = /[\p{Cf}\p{M}\u115f\u1160\u3164\uffa0]/gu;
// biome-ignore lint/suspicious/noControlCharactersInRegex: whatever is ASCII is plain
const PLAIN = /^[\u0000-\u007f]*$/;

function plainCharacter(character: string): string {
  return digitOf(character)?.toString() ?? PLAIN_FORMS[character] ?? character;
}

const PLAIN_FORMS: Readonly<Record<string, string>> = { "\uff0b": "+", "\ufe62": "+", "\u207a": "+" };

/** Where the digits of one run stand. */
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

// A space behind another only makes it wider.
function lengthInGap(characters: readonly string[], at: number): number {
  const isWider = SPACE.test(characters[at] ?? "") && SPACE.test(characters[at - 1] ?? "");
  return isWider ? 0 : 1;
}

// A list of numbers that stand together, at its marks: so that each is shown in part.
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

// Digits without anything between them.
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

/** What stands before a number that says it is one. */
const SAYS_SO = /(?:[+\uff0b\ufe62\u207a]|%2b|tel:|sips?:)[\p{Zs}\p{Cf}(]{0,3}$/iu;
/** With a prefix for calls abroad. */
const DIALLED = /^(?:00|011)[1-9]\d{6,}$/;
/** What a limit looks like. */
const ROUND = /^[1-9]\d?0{5,}$/;

// The last three digits of the run; of what may be several numbers, all but the first few.
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

// What stays whatever its digits are: where its characters stand.
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
