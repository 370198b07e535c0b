import fc from "fast-check";
import { parsePhoneNumberFromString } from "libphonenumber-js/min";
import { expect, test } from "vitest";
import { countryOfNumber, isCountry } from "./country.ts";

test.each([
  ["+493012345678", "DE"],
  ["+12025550123", "US"],
  ["+14165550123", "CA"],
  ["+18765550123", "JM"],
  ["+442071838750", "GB"],
  ["+441481960194", "GG"],
  ["+77011234567", "KZ"],
  ["+79161234567", "RU"],
  ["+393451234567", "IT"],
  ["+390669812345", "VA"],
  ["+61891621234", "CC"],
  ["+61412345678", "AU"],
  ["+2908999", "SH"],
  ["+24740123", "SH"],
  ["+38343201234", "XK"],
  ["+8001234567", undefined],
  ["+15550001111", undefined],
  ["+99", undefined],
  ["", undefined],
])("%s is a number of %s", (number, country) => {
  expect(countryOfNumber(number)).toBe(country);
});

test("the remembered answer is the library's own, wherever it has one", () => {
  const callingCode = fc.constantFrom("1", "7", "39", "44", "47", "49", "61", "618", "212", "262", "358", "590", "599");
  fc.assert(
    fc.property(callingCode, fc.stringMatching(/^[2-9][0-9]{2}[2-9][0-9]{3,6}$/), (code, rest) => {
      const number = `+${code}${rest}`;
      const expected = parsePhoneNumberFromString(number)?.country;
      fc.pre(expected !== undefined);
      expect([expected, undefined]).toContain(countryOfNumber(number));
    }),
    { numRuns: 2_000 },
  );
});

test("never throws, whatever the text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      countryOfNumber(text);
      countryOfNumber(`+44${text}`);
    }),
  );
});

test("countries are ISO 3166-1 codes in capitals", () => {
  expect(["DE", "GB", "AQ", "SH"].every(isCountry)).toBe(true);
  expect(["UK", "AC", "de", "EU", "", "D"].some(isCountry)).toBe(false);
});
