import fc from "fast-check";
import { expect, test } from "vitest";
import { maskInternational, maskLastDigits, maskNumbers } from "./masking.ts";

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
