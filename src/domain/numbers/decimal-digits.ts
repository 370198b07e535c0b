/**
 * A regular expression's set (flag `u`) for one decimal digit: in every script, in compatible
 * characters such as circled digits, and digits without a compatible form.
 */
export const DIGIT_SET =
  "\\p{Nd}\u00b2\u00b3\u00b9\u2070\u2074-\u2079\u2080-\u2089\u215f\u2460-\u2468\u2474-\u247c\u2488-\u2490\u24ea" +
  "\u32c0-\u32c8\u3358-\u3361\u3378\u3379\u339f-\u33a6\u33a8\u33af\u33e0-\u33e8\u{1f100}-\u{1f10a}" +
  "\u1369-\u1371\u19da\u24f5-\u24fd\u24ff\u2776-\u277e\u2780-\u2788\u278a-\u2792" +
  "\u{10a40}-\u{10a43}\u{10e60}-\u{10e68}\u{11052}-\u{1105a}\u{1f10b}\u{1f10c}";

/** The digit that a character stands for; undefined when it stands for none, or for several. */
export function digitOf(character: string): number | undefined {
  if (ASCII_DIGIT.test(character)) return Number(character);
  if (!DIGIT.test(character)) return undefined;
  const code = character.codePointAt(0) ?? 0;
  const run = WITHOUT_FORM.find(({ first, last }) => code >= first && code <= last);
  if (run) return run.digit + code - run.first;
  const [plain] = /[0-9]/.exec(character.normalize("NFKC")) ?? [];
  return plain === undefined ? decimalOf(code) : Number(plain);
}

const ASCII_DIGIT = /^[0-9]$/;
const DIGIT = new RegExp(`^[${DIGIT_SET}]$`, "u");
const DECIMAL = /^\p{Nd}$/u;

/** Runs of digits that are no decimals, and that no other text is compatible with. */
const WITHOUT_FORM: readonly { first: number; last: number; digit: number }[] = [
  // Ethiopic, New Tai Lue, in double and black circles, dingbats.
  { first: 0x1369, last: 0x1371, digit: 1 },
  { first: 0x19da, last: 0x19da, digit: 1 },
  { first: 0x24f5, last: 0x24fd, digit: 1 },
  { first: 0x24ff, last: 0x24ff, digit: 0 },
  { first: 0x2776, last: 0x277e, digit: 1 },
  { first: 0x2780, last: 0x2788, digit: 1 },
  { first: 0x278a, last: 0x2792, digit: 1 },
  // Kharoshthi, Rumi, Brahmi, dingbats.
  { first: 0x10a40, last: 0x10a43, digit: 1 },
  { first: 0x10e60, last: 0x10e68, digit: 1 },
  { first: 0x11052, last: 0x1105a, digit: 1 },
  { first: 0x1f10b, last: 0x1f10b, digit: 0 },
  { first: 0x1f10c, last: 0x1f10c, digit: 0 },
];

// Decimals come in runs from zero to nine (Unicode 4.6); NFKC knows some scripts only.
function decimalOf(code: number): number {
  let value = 0;
  while (value < 9 && DECIMAL.test(String.fromCodePoint(code - value - 1))) value++;
  return value;
}
