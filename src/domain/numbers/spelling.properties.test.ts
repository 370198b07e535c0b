import { expect, test } from "vitest";
import { dialled, e164 } from "../../../test/support/matching-calls.ts";
import { COUNTRIES, numbersIn, spellingsOf, type WrittenNumber } from "../../../test/support/number-spellings.ts";
import { isSameNumber, type NumberKey, numberKeyOf, numbersOfParty } from "../matching/number-keys.ts";
import { ErasedNumber } from "../privacy/erased-number.ts";
import { partyMatcher } from "../privacy/subject.ts";

/** How many numbers of each country. */
const COUNT = 4;

/** What disagrees about a spelling of a number, by who is asked. */
function disagreements(number: string, written: WrittenNumber, others: readonly NumberKey[]): string[] {
  const party = dialled(written.value, written.countryCode);
  const key = numberKeyOf(party);
  const own = numberKeyOf(e164(number));
  const erased = new ErasedNumber(number);
  const text = `to <${written.value}>`;
  const bytes = Buffer.from(text)
    .toString("latin1")
    .replaceAll(/[\u0080-\u00ff]/g, (character) => `\\${character.charCodeAt(0).toString(8)}`);
  const found = new RegExp(erased.pattern);
  const checks: Record<string, boolean> = {
    attribution: numbersOfParty(party).includes(number),
    matching: key !== undefined && own !== undefined && isSameNumber(key, own) && isSameNumber(own, key),
    copies: key !== undefined && others.every((other) => isSameNumber(key, other) && isSameNumber(other, key)),
    export: partyMatcher(number)(party),
    erasure: erased.isParty(party),
    "erasure of texts": erased.isIn(text) && !erased.isIn(erased.mask(text)),
    search: found.test(bytes) && found.test(text),
  };
  return Object.keys(checks).filter((name) => !checks[name]);
}

test.each(COUNTRIES)(
  "every spelling of a number of %s means it to attribution, matching, copies, export and erasure",
  (country) => {
    const wrong: string[] = [];
    for (const number of numbersIn(country, COUNT)) {
      const spellings = spellingsOf(number);
      const keys = spellings.map(({ value, countryCode }) => numberKeyOf(dialled(value, countryCode)));
      const others = keys.filter((key) => key !== undefined);
      for (const written of spellings) {
        const names = disagreements(number.number, written, others);
        if (names.length > 0) wrong.push(`${number.number} as ${written.value} (${written.countryCode}): ${names}`);
      }
    }
    expect(wrong).toEqual([]);
  },
);

test("no spelling of a number means the next one", () => {
  for (const country of COUNTRIES) {
    for (const number of numbersIn(country, 1)) {
      const next = number.number.slice(0, -1) + String((Number(number.number.slice(-1)) + 1) % 10);
      const isNext = partyMatcher(next);
      for (const { value, countryCode } of spellingsOf(number)) {
        const party = dialled(value, countryCode);
        expect(isNext(party) || numbersOfParty(party).includes(next), `${next} is ${value}`).toBe(false);
      }
    }
  }
});

test("nearly every country has numbers of its own to try", () => {
  expect(COUNTRIES.filter((country) => numbersIn(country, COUNT).length === 0).length).toBe(0);
});
