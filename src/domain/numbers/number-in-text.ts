import { isBetweenDigits, isUnseen } from "../privacy/masking.ts";
import { digitOf } from "./decimal-digits.ts";

// Finds numbers in texts, in any script and with anything between the digits.

interface Character {
  readonly shown: string;
  readonly stored: string;
}

export interface ReadText {
  /** ASCII digits, `*` if asked for, a space for what a number may contain, `|` for the rest. */
  readonly spelled: string;
  /** Position of each character of `spelled` in the text. */
  readonly at: readonly number[];
  readonly characters: readonly Character[];
}

/** Reads a text, or bytes that contain texts. `withStars`: `*` may be a masked digit. */
export function readText(text: string | Buffer, withStars = false): ReadText {
  const characters = typeof text === "string" ? charactersOf(text) : charactersOfBytes(text);
  const at: number[] = [];
  let spelled = "";
  let gap = 0;
  for (const [index, { shown }] of characters.entries()) {
    const digit = withStars && shown === "*" ? "*" : digitOf(shown);
    if (digit === undefined) {
      gap += widthOf(shown);
      continue;
    }
    if (gap > 0) {
      spelled += gap > MAX_GAP ? "|" : " ";
      at.push(index);
    }
    spelled += digit;
    at.push(index);
    gap = 0;
  }
  return { spelled, at, characters };
}

// For non-digits: invisible, one that may stand in a number, or any other.
function widthOf(character: string): number {
  if (isUnseen(character)) return 0;
  return isBetweenDigits(character) ? 1 : MAX_GAP + 1;
}

/** The stored text, with each digit that the pattern finds replaced by stars of the same size. */
export function starFound({ spelled, at, characters }: ReadText, pattern: RegExp): string {
  const stars = new Set<number>();
  for (const { index, 0: found } of spelled.matchAll(pattern)) {
    for (let offset = 0; offset < found.length; offset++) {
      if (found[offset] !== " ") stars.add(at[index + offset] ?? -1);
    }
  }
  return characters.map(({ stored }, index) => (stars.has(index) ? "*".repeat(stored.length) : stored)).join("");
}

/** Most visible characters between two digits of a number. */
const MAX_GAP = 3;

function charactersOf(text: string): Character[] {
  return Array.from(text, (shown) => ({ shown, stored: shown }));
}

// As Latin-1, which leaves everything else unchanged.
function charactersOfBytes(bytes: Buffer): Character[] {
  const found = bytes.toString("latin1").match(UTF8) ?? [];
  return found.map((stored) => ({
    shown: stored.length === 1 ? stored : Buffer.from(stored, "latin1").toString("utf8"),
    stored,
  }));
}

const UTF8 =
  /[\u00c2-\u00df][\u0080-\u00bf]|[\u00e0-\u00ef][\u0080-\u00bf]{2}|[\u00f0-\u00f4][\u0080-\u00bf]{3}|[\s\S]/g;
