import { expect, test } from "vitest";
import { carrierCall, dialled, e164, RESTRICTED } from "../../test/support/matching-calls.ts";
import { COUNTRIES, numbersIn, spellingsOf } from "../../test/support/number-spellings.ts";
import type { Party } from "../domain/calls/party.ts";
import { pairKeyOf } from "./call-keys.ts";

const keyOf = (called: Party) => pairKeyOf(carrierCall("c", {}, { called, phoneNumber: "+4532000001" }));

test("every spelling of the other party leads to the same far counterparts", () => {
  const key = keyOf(e164("+5493854284057"));
  for (const spelled of [
    e164("+543854284057"),
    dialled("0385 15 428-4057", "AR"),
    dialled("sip:+5493854284057@192.0.2.17:5060"),
    dialled("tel:+54-9-385-4284057"),
  ])
    expect(keyOf(spelled), spelled.value).toBe(key);
  expect(keyOf(e164("+5493854284058"))).not.toBe(key);
});

test("a caller that is hidden by a word leads nowhere, like one that is restricted", () => {
  for (const calling of [RESTRICTED, dialled("anonymous"), dialled("sip:anonymous@anonymous.invalid")])
    expect(pairKeyOf(carrierCall("c", {}, { direction: 2, calling, phoneNumber: "+4532000001" }))).toBeUndefined();
});

test.each(COUNTRIES)("every spelling of a number of %s leads to the same far counterparts", (country) => {
  const wrong = numbersIn(country, 2).flatMap((number) => {
    const key = keyOf(e164(number.number));
    return spellingsOf(number).filter(({ value, countryCode }) => keyOf(dialled(value, countryCode)) !== key);
  });
  expect(wrong).toEqual([]);
});
