/**
 * A text as a terminal may show it: whatever steers a terminal, begins a line, turns the direction
 * of writing or is not seen stands as an escape such as `\u{1b}`. Texts come from others, who must
 * not write lines of ours.
 */
export function visibleText(text: string): string {
  return text.replaceAll(UNSEEN, escapeOf);
}

/** The same for a text of several lines that are ours. */
export function visibleLines(text: string): string {
  return text.split("\n").map(visibleText).join("\n");
}

/**
 * JSON that is safe on a terminal, and the same to every reader of JSON: what JSON leaves as it is
 * and nobody sees stands as `\uXXXX`.
 */
export function visibleJson(json: string): string {
  return json.replaceAll(UNSEEN, (character) =>
    Array.from({ length: character.length }, (_, at) => `\\u${hex(character.charCodeAt(at)).padStart(4, "0")}`).join(
      "",
    ),
  );
}

/** Whether a character is one that is shown as an escape. */
export function isUnseen(character: string): boolean {
  return character.search(UNSEEN) >= 0;
}

/** A character as an escape. */
export function escapeOf(character: string): string {
  return `\\u{${hex(character.codePointAt(0) ?? 0)}}`;
}

/**
 * Controls, formats (zero-width, bidirectional), private use, halves of characters, line and
 * paragraph separators, and letters without a shape.
 */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0]/gu;

function hex(code: number): string {
  return code.toString(16);
}
