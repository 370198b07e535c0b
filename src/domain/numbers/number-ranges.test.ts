import { getCountries, getExampleNumber } from "libphonenumber-js/max";
import examples from "libphonenumber-js/mobile/examples";
import { expect, test } from "vitest";
import { findRangeProblem } from "./number-ranges.ts";

const problemOf = (prefix: string) => findRangeProblem([prefix], []);

test.each([
  ["a whole number of a closed plan", "+4533123456"],
  ["a whole number of North America", "+12125550123"],
  ["a whole mobile number of an open plan", "+4915112345678"],
  ["a whole mobile number of an open plan, of two lengths", "+46701234567"],
  ["a whole number with more behind it", "+45331234567"],
  ["what is longer than any number there", "+453312345699999"],
  ["a calling code that there is not", "+9994533123456"],
])("%s is no range: %s", (_, prefix) => {
  expect(problemOf(prefix)).toEqual({ field: "prefixes[0]", description: expect.stringContaining("approved_numbers") });
});

test.each([
  ["the first digit of calling codes", "+4"],
  ["a country", "+45"],
  ["ten numbers of a closed plan", "+453312345"],
  ["a hundred numbers of North America", "+121255501"],
  ["ten numbers of Germany's mobile plan", "+491511234567"],
  ["a block of an open plan, which could be a short number too", "+493012345"],
  ["a block behind a number of Austria, which may go on", "+4312345678"],
])("%s is a range: %s", (_, prefix) => {
  expect(problemOf(prefix)).toBeUndefined();
});

test("of every country a mobile number without its last digits is a range, and whole it is hardly ever one", () => {
  const numbers = getCountries().flatMap((country) => getExampleNumber(country, examples)?.number ?? []);
  expect(numbers.length).toBeGreaterThan(200);
  for (const number of numbers)
    for (const cut of [1, 2, 3, 4]) expect(problemOf(number.slice(0, -cut))).toBeUndefined();
  // In these plans the same beginning has numbers of several lengths, and this is not the longest.
  const open = numbers.filter((number) => problemOf(number) === undefined).map((number) => number.slice(0, 4));
  expect(new Set(open)).toEqual(new Set(["+436", "+358", "+628", "+642", "+252", "+690"]));
});
