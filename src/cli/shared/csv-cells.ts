import { escapeOf, isUnseen, visibleText } from "../../domain/privacy/visible-text.ts";

// Texts come from other companies, and a spreadsheet runs a cell that begins like a formula
// (CWE-1236). readCsvCell reads back what is written here; docs/operations.md has the rule for
// other readers.

/**
 * A text as a cell that no spreadsheet runs: an apostrophe before a possible formula, and escapes
 * such as `\u{1b}` for unseen characters. Numbers stay as they are, with their sign.
 */
export function csvCell(text: string): string {
  if (NUMBER.test(text)) return text;
  const escaped = visibleText(
    text.replaceAll(ESCAPE, (found, code: string) => (isOurs(code) ? `\\u{5c}${found.slice(1)}` : found)),
  );
  // Where semicolons part cells, the text behind one would be a cell of its own.
  const parted = escaped.replaceAll(
    BEHIND_SEMICOLON,
    (_, before: string, sign: string) => `${before}${escapeOf(sign)}`,
  );
  return FORMULA.test(parted) ? `'${parted}` : parted;
}

/** Reads a cell that csvCell wrote. Any other cell is its own text, unless it looks like ours. */
export function readCsvCell(cell: string): string {
  const escaped = cell.startsWith("'") && FORMULA.test(cell.slice(1)) ? cell.slice(1) : cell;
  return escaped.replaceAll(ESCAPE, (found, code: string) =>
    isOurs(code) ? String.fromCodePoint(Number.parseInt(code, 16)) : found,
  );
}

/** A number, also a telephone number with masked last digits: no spreadsheet makes more of it. */
const NUMBER = /^[+-]?[0-9]+(?:\.[0-9]+)?\*{0,3}$/;
/** What begins a formula, in whatever width; alone it is none. */
const SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212";
const FORMULA = new RegExp(`^[\\s'"]*[${SIGNS}].`);
const BEHIND_SEMICOLON = new RegExp(`(;[\\s'"]*)([${SIGNS}])`, "g");
const SIGN = new RegExp(`^[${SIGNS}]$`);
const ESCAPE = /\\u\{([0-9a-f]{1,6})\}/g;

// Whether csvCell writes this escape; any other is somebody's text.
function isOurs(code: string): boolean {
  const value = Number.parseInt(code, 16);
  if (value > 0x10ffff || value.toString(16) !== code) return false;
  const character = String.fromCodePoint(value);
  return character === "\\" || SIGN.test(character) || isUnseen(character);
}
