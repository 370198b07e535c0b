import fc from "fast-check";
import { expect, test } from "vitest";
import { digitsOf, maskInternational, maskLastDigits, maskNumbers, maskReport, maskText } from "./masking.ts";

test.each([
  ["+15552823001", "+15552823***"],
  ["call +49 (30) 1234-5678 now", "call +49 (30) 1234-5*** now"],
  ["two: 4930123456, 4930654321", "two: 4930123***, 4930654***"],
  ["112 and 503 and 123456", "112 and 503 and 123456"],
  ["2026-03-14", "2026-03-14"],
  ["on 2026-03-14 from 4930123456", "on 2026-03-14 from 4930123***"],
  ["2026-03-14567", "2026-03-14***"],
])("%s is shown as %s", (text, shown) => {
  expect(maskNumbers(text)).toBe(shown);
});

test("no seven digits or more stay together, and nothing but digits changes", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z0-9+ ]{0,60}$/), (text) => {
      const masked = maskNumbers(text);
      expect(masked.length).toBe(text.length);
      for (const run of text.match(/\d{7,}/g) ?? []) expect(masked).not.toContain(run);
      expect(
        [...masked].every(
          (character, at) => character === text[at] || (character === "*" && /\d/.test(text[at] ?? "")),
        ),
      ).toBe(true);
    }),
  );
});

test("a number of three digits or fewer is masked whole", () => {
  expect([maskLastDigits("12"), maskLastDigits("a1b2"), maskLastDigits("")]).toEqual(["**", "a*b*", ""]);
});

test.each([
  ["no number +4533123456 here", "no number +4533123*** here"],
  ["+45 (33) 12-34-56", "+45 (33) 12-3*-**"],
  ["sip:+4533123456@example.com", "sip:+4533123***@example.com"],
  [
    "fault c98068fa-2bfc-412a-836a-764421714129, sequence 12345678",
    "fault c98068fa-2bfc-412a-836a-764421714129, sequence 12345678",
  ],
  ["2026-03-14T12:00:00+00:00", "2026-03-14T12:00:00+00:00"],
])("%s is told as %s", (text, told) => {
  expect(maskInternational(text)).toBe(told);
});

test.each([
  ["no-break spaces", "call 33\u00a012\u00a034\u00a056 back"],
  ["many spaces side by side", "33     12 \u00a0 \u2007  34\r\n\r\n\t56"],
  ["thin and figure spaces", "33\u200912\u200734\u202f56"],
  ["an en dash and a minus", "33\u201312\u221234\u201056"],
  ["fullwidth digits", "\uff14\uff15\uff13\uff13\uff11\uff12\uff13\uff14\uff15\uff16"],
  ["Arabic-Indic digits", "\u0663\u0663\u0661\u0662\u0663\u0664\u0665\u0666"],
  ["Devanagari digits", "\u0969\u0969\u0967\u0968\u0969\u096a\u096b\u096c"],
  [
    "mathematical digits, beyond the first plane",
    "\u{1d7d1}\u{1d7d1}\u{1d7cf}\u{1d7d0}\u{1d7d1}\u{1d7d2}\u{1d7d3}\u{1d7d4}",
  ],
  ["superscript digits", "\u00b3\u00b3\u00b9\u00b2\u00b3\u2074\u2075\u2076"],
  ["zero-width characters between digits", "3\u200b3\u200d1\u20602\ufeff3\u00ad4\u200e5\u202c6"],
  ["keycaps", [..."33123456"].map((digit) => `${digit}\ufe0f\u20e3`).join("")],
  ["brackets and dots of other widths", "\uff0845\uff0933\uff0e12\uff0e34\uff0e56"],
  ["line breaks and tabs", "33\n12\t34\r\n56"],
  ["underscores, tildes, backslashes", "33_12~34\\56"],
  ["what looks like a day and is none", "3312-34-56"],
  ["commas", "33,12,34,56"],
  ["colons", "33:12:34:56"],
  ["semicolons and spaces", "33; 12; 34; 56"],
  ["commas and colons of other widths", "33\uff0c12\uff1a34\uff1b56"],
  ["ideographic and Arabic commas, and stars of another width", "33\u300112\u060c34\uff0a56"],
  ["digits with a full stop", inDigits("33123456", 0x2487)],
  ["digits in brackets", inDigits("33123456", 0x2473)],
  ["digits with a comma", inDigits("33123456", 0x1f101)],
  ["digits in circles", inDigits("33123456", 0x245f)],
  ["digits in double circles", inDigits("33123456", 0x24f4)],
  ["digits in black circles", inDigits("33123456", 0x2775)],
  ["sans-serif digits in circles", inDigits("33123456", 0x277f)],
  ["sans-serif digits in black circles", inDigits("33123456", 0x2789)],
  ["Ethiopic digits", inDigits("33123456", 0x1368)],
  ["hours of the telegraph", inDigits("33123456", 0x3358)],
])("a number is masked when it is written with %s", (_, text) => {
  const masked = maskNumbers(text);
  expect(digitsOf(text).endsWith("33123456")).toBe(true);
  expect(masked.match(/\*/g)).toHaveLength(3);
  expect(digitsOf(masked).endsWith("33123")).toBe(true);
});

test.each([
  ["two numbers side by side", "4533123456 4533123457", ["4533123456", "4533123457"]],
  ["two short ones side by side", "33123456 33123457", ["33123456", "33123457"]],
  ["two in groups", "33 12 34 56 / 33 12 34 57", ["33123456", "33123457"]],
  ["three behind a plus", "+4533123456 4533123457 4533123458", ["4533123456", "4533123457", "4533123458"]],
])("%s are masked each", (_, text, numbers) => {
  for (const masked of [maskNumbers(text), maskReport(text)])
    for (const number of numbers) expect(digitsOf(masked)).not.toContain(number);
});

test.each([
  ["0045 33 12 34 56", "0045 33 12 3* **"],
  ["011 45 33123456", "011 45 33123***"],
  ["tel:33123456;phone-context=+45", "tel:33123***;phone-context=+45"],
  ["sip:4533123456@192.0.2.1", "sip:4533123***@192.0.2.1"],
  ["\uff0b45 33\u00a012\u00a034\u00a056", "\uff0b45 33\u00a012\u00a03*\u00a0**"],
  ["sip:%2B4533123456@192.0.2.1", "sip:%2B4533123***@192.0.2.1"],
  ["a84b4c76e66710@10.20.30.40", "a84b4c76e66710@10.20.30.40"],
])("an id with a number in it, %s, is told as %s", (text, told) => {
  expect(maskInternational(text)).toBe(told);
});

test("an id loses the numbers of its record, in whatever spelling, and no other digits", () => {
  const numbers = [{ nationalDigits: "33123456", isHidden: false }];
  const id = (text: string) => maskText(text, { shownAs: "ID", numbers });
  expect(id("33123456-1732888888123@10.20.30.40")).toBe("33123***-1732888888123@10.20.30.40");
  expect(id("9945\u00a033 12 34 56x")).toBe("9945\u00a033 12 3* **x");
  expect(maskText("33123456", { shownAs: "ID", numbers: [{ nationalDigits: "33123456", isHidden: true }] })).toBe(
    "********",
  );
});

test("a report of ours keeps ids, times, limits and known counts, and masks the rest", () => {
  const kept = [
    "fault c98068fa-2bfc-412a-836a-764421714129",
    "certificate 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    "at 2026-03-14T12:00:00.123456Z",
    "between 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999999Z",
    "more than 1000000 lines",
  ];
  for (const text of kept) expect(maskReport(text)).toBe(text);
  expect(maskReport("the message is over 4194304 bytes", ["4194304"])).toBe("the message is over 4194304 bytes");
  expect(maskReport("no record 4533123456")).toBe("no record 4533123***");
});

test("no spelling of a number survives, whatever stands between its digits", () => {
  const separator = fc.constantFrom("", "", " ", "-", ".", "/", "\u00a0", "\u2009", "\u2013", "\u200b", ") ", " - ");
  const zero = fc.constantFrom(0x30, 0x660, 0x6f0, 0x966, 0xff10, 0x1d7ce);
  fc.assert(
    fc.property(
      fc.stringMatching(/^[1-9][0-9]{6,11}$/),
      fc.array(separator, { minLength: 12, maxLength: 12 }),
      zero,
      (number, between, from) => {
        const spelled = [...number]
          .map((digit, at) => String.fromCodePoint(from + Number(digit)) + between[at])
          .join("");
        expect(digitsOf(spelled)).toBe(number);
        expect(digitsOf(maskNumbers(`by ${spelled}, twice`))).toBe(number.slice(0, -3));
        const numbers = [{ nationalDigits: number, isHidden: false }];
        expect(digitsOf(maskText(`x${spelled}y`, { shownAs: "ID", numbers }))).toBe(number.slice(0, -3));
      },
    ),
  );
});

test("a number is masked when it is written with stars", () => {
  expect(maskNumbers("33*12*34*56")).toBe("33*12*3****");
});

test("zeros without a run of digits beside them are digits: in circles, with a full stop, dingbats", () => {
  for (const zero of ["\u24ea", "\u24ff", "\u{1f100}", "\u{1f101}", "\u{1f10b}", "\u{1f10c}", "\u2070", "\u2080"])
    expect(digitsOf(maskNumbers(`33${zero}${zero}12${zero}7`)), zero).toBe("33001");
});

test("every character that holds one decimal digit, by its compatible form or as a decimal, is that digit", () => {
  const missed: string[] = [];
  for (let code = 0; code <= 0x10ffff; code++) {
    if (code >= 0xd800 && code <= 0xdfff) continue;
    const character = String.fromCodePoint(code);
    const [digit, ...more] = character.normalize("NFKC").match(/\p{Nd}/gu) ?? [];
    if (digit === undefined || more.length > 0) continue;
    const isRight = /^[0-9]$/.test(digit) ? digitsOf(character) === digit : digitsOf(character).length === 1;
    if (!isRight) missed.push(code.toString(16));
  }
  expect(missed).toEqual([]);
});

test("numbers in a list are masked each where they can be told apart, and what no number is made of stays", () => {
  expect(maskNumbers("33123456, 33123457; 33123458")).toBe("33123***, 33123***; 33123***");
  expect(maskNumbers("at 12:30:45, three")).toBe("at 12:30:45, three");
  expect(maskNumbers("1,000 of 2,000")).toBe("1,000 of 2,000");
  expect(maskNumbers("at 2026-03-14T12:00:00.123Z: 404")).toBe("at 2026-03-14T12:00:00.123Z: 404");
});

test("an id loses its record's numbers also where commas and colons stand in them", () => {
  const numbers = [{ nationalDigits: "33123456", isHidden: false }];
  expect(maskText("x33,12:34*56y", { shownAs: "ID", numbers })).toBe("x33,12:3****y");
});

function inDigits(number: string, zero: number): string {
  return [...number].map((digit) => String.fromCodePoint(zero + Number(digit))).join("");
}
