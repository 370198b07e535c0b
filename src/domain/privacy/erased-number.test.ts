import { describe, expect, test } from "vitest";
import { ErasedNumber } from "./erased-number.ts";

describe("a number is found and masked in a text in every spelling", () => {
  test.each([
    ["+441632960105", "ref +44 (0)1632 960105 x", "ref +** (*)**** ****** x"],
    ["+441632960105", "01632/960105", "0****/******"],
    ["+441632960105", "tel:+44-1632-960105;ext=1", "tel:+**-****-******;ext=1"],
    ["+441632960105", "1632\u00a0960\u2013105", "****\u00a0***\u2013***"],
    ["+441632960105", "１６３２９６０１０５", "**********"],
    ["+5491155550107", "011 15 5555-0107", "0** ** ****-****"],
    ["+5491155550107", "+54 11 5555-0107", "+** ** ****-****"],
    ["+541155550107", "+5491155550107", "+*************"],
    ["+390655550101", "+39 6 5555 0101", "+** * **** ****"],
    ["+525555550101", "+521 55 5555 0101", "+*** ** **** ****"],
  ])("%s in %j", (number, text, masked) => {
    const erased = new ErasedNumber(number);
    expect(erased.isIn(text)).toBe(true);
    expect(erased.mask(text)).toBe(masked);
    const bytes = erased.maskBytes(Buffer.from(`\n${text}\u0012`));
    expect(bytes).toHaveLength(Buffer.byteLength(text) + 2);
    expect(erased.isIn(bytes.toString())).toBe(false);
    expect([text, asEscaped(text)].map((each) => new RegExp(erased.pattern).test(each))).toEqual([true, true]);
  });
});

test("a number whose last digits were masked before loses the others too", () => {
  expect(new ErasedNumber("+441632960105").maskAll("is +44 (0)1632 960***, expected")).toBe(
    "is +** (*)**** ******, expected",
  );
});

test("other numbers, days and texts stay as they are", () => {
  const erased = new ErasedNumber("+441632960105");
  for (const text of ["+441632960106", "2026-01-05", "", "Grüße", "1632, then 960105", "16329601 and 05"])
    expect([erased.isIn(text), erased.mask(text)]).toEqual([false, text]);
});

test("bytes that happen to begin like a digit of another script are no find", () => {
  const { pattern, maskedPattern } = new ErasedNumber("+441632960105");
  for (const bytes of ["\u00b2", "\u0665 and 16", "١٦ ٣٢"]) {
    expect([pattern, maskedPattern].map((each) => new RegExp(each).test(asEscaped(bytes)))).toEqual([false, false]);
  }
});

/** As PostgreSQL's `escape` has the bytes of a text. */
function asEscaped(text: string): string {
  const octal = (character: string) => `\\${character.charCodeAt(0).toString(8)}`;
  return Buffer.from(text)
    .toString("latin1")
    .replaceAll(/[\u0080-\u00ff]/g, octal);
}
