import { expect, test } from "vitest";
import {
  carrierCall,
  dialled,
  e164,
  matchingInput,
  nameOf,
  platformCall,
  TEN,
} from "../../../test/support/matching-calls.ts";
import { COUNTRIES, numbersIn, spellingsOf, type WrittenNumber } from "../../../test/support/number-spellings.ts";
import { DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { matchCalls } from "./match-calls.ts";

const OWN = e164("+4532000001");
const APART_MS = 600_000;

/**
 * How a call comes out that both sides wrote twice, each record with another spelling of the other
 * party.
 */
function judge(spellings: readonly WrittenNumber[], number: string): string[] {
  const calls = spellings.map(({ value, countryCode }, index) => {
    const next = spellings[(index + 1) % spellings.length] ?? { value: number };
    const [spelled, copied] = [dialled(value, countryCode), dialled(next.value, next.countryCode)];
    const isOutbound = index % 2 === 0;
    const partiesOf = (party: typeof spelled) =>
      isOutbound ? { direction: 1, calling: OWN, called: party } : { direction: 2, calling: party, called: OWN };
    const first = { startMs: TEN + index * APART_MS };
    const later = { startMs: first.startMs + 1_500 };
    return {
      platform: [
        platformCall(`p${index}`, first, partiesOf(e164(number))),
        platformCall(`p${index}-copy`, later, partiesOf(copied)),
      ],
      carrier: [
        carrierCall(`c${index}`, first, partiesOf(spelled)),
        carrierCall(`c${index}-copy`, { startMs: first.startMs + 700 }, partiesOf(copied)),
        carrierCall(`c${index}-third`, later, partiesOf(e164(number))),
      ],
    };
  });
  const scope = { directions: [1, 2], unanswered: false, emergency: false };
  const [platform, carrier] = [calls.flatMap((each) => each.platform), calls.flatMap((each) => each.carrier)];
  const input = matchingInput(platform, carrier);
  const results = matchCalls({ ...input, agreement: { ...input.agreement, scopeAt: () => scope } });
  const told = new Map(results.map((result) => [nameOf(result), result.status]));
  return spellings.flatMap(({ value }, index) => {
    const isRight =
      told.get(`p${index}/c${index}`) === DiscrepancyStatus.MATCHED_EXACT &&
      told.get(`p${index}-copy/c${index}-third`) === DiscrepancyStatus.MATCHED_EXACT &&
      told.get(`c${index}-copy`) === DiscrepancyStatus.DUPLICATE_AT_CARRIER;
    return isRight ? [] : [`${number} as ${value}`];
  });
}

test.each(COUNTRIES)(
  "every spelling of a number of %s is paired, and its copies are found, by what it means",
  (country) => {
    const wrong = numbersIn(country, 2).flatMap((number) => judge(spellingsOf(number), number.number));
    expect(wrong).toEqual([]);
  },
);
