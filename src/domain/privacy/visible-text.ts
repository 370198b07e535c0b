/** A text as a terminal may show it: what steers, breaks lines or is unseen becomes `\u{1b}`. */
export function visibleText(text: string): string {
  return text.replaceAll(UNSEEN, escapeOf);
}

/** The same for a text of several lines that are ours. */
export function visibleLines(text: string): string {
  return text.split("\n").map(visibleText).join("\n");
}

/** JSON that is safe on a terminal and means the same. */
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

export function escapeOf(character: string): string {
  return `\\u{${hex(character.codePointAt(0) ?? 0)}}`;
}

/** Controls, formats, private use, halves of characters, separators, letters without a shape. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0]/gu;

function hex(code: number): string {
  return code.toString(16);
}
