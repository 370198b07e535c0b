import {
  type CountryCode,
  getCountries,
  getCountryCallingCode,
  getExampleNumber,
  type PhoneNumber,
  parsePhoneNumberFromString,
} from "libphonenumber-js/max";
import examples from "libphonenumber-js/mobile/examples";

/** One number as somebody writes it. */
export interface WrittenNumber {
  readonly value: string;
  /** Absent where the text says enough. */
  readonly countryCode?: string;
}

/** Every country that has a numbering plan. */
export const COUNTRIES: readonly CountryCode[] = getCountries();

/** Numbers of a country that could be somebody's: of several types, the same ones each time. */
export function numbersIn(country: CountryCode, count: number): PhoneNumber[] {
  const code = getCountryCallingCode(country);
  const example = getExampleNumber(country, examples);
  const found = new Map<string, PhoneNumber>(example ? [[example.number, example]] : []);
  let seed = code.length + country.charCodeAt(0) * 256 + country.charCodeAt(1);
  const types = new Set<string>();
  for (let tries = 0; tries < MOST_TRIES && found.size < count; tries++) {
    let digits = "";
    const length = 4 + (tries % 9);
    while (digits.length < length) {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      digits += String(Math.floor(seed / 65_536) % 10);
    }
    const number = parsePhoneNumberFromString(`+${code}${digits}`);
    // First digits tell freephone and other services apart; two of a type are enough.
    if (!number?.isValid() || number.country !== country || digits.length < LEAST_DIGITS) continue;
    const type = `${number.getType()}${found.size % 2}`;
    if (types.has(type) && tries < MOST_TRIES / 2) continue;
    types.add(type);
    found.set(number.number, number);
  }
  return [...found.values()];
}

const MOST_TRIES = 600;
/** Shorter numbers are codes, that have no other spelling. */
const LEAST_DIGITS = 5;

/** A number in every way in which people and switches write it. */
export function spellingsOf(number: PhoneNumber): WrittenNumber[] {
  const { countryCallingCode: code, nationalNumber } = number;
  const country = number.country ?? "";
  const abroad = `${code}${nationalNumber}`;
  const national = number.format("NATIONAL");
  const atHome = national.replaceAll(/[^0-9]/g, "");
  const everywhere = [
    number.format("INTERNATIONAL"),
    number.format("RFC3966"),
    `00${abroad}`,
    `011${abroad}`,
    `00 ${number.format("INTERNATIONAL").slice(1)}`,
    abroad,
    `+${code} (0)${nationalNumber.replace(/^0/, "")}`,
    `sip:+${abroad}@192.0.2.17:5060;user=phone`,
    `sips:+${abroad};npdi@sbc.example`,
    `"A" <sip:00${abroad}@sbc.example;transport=tcp>`,
    `sip:%2B${abroad}@sbc.example`,
    `tel:+${code}-${nationalNumber}`,
    `tel:${atHome};phone-context=+${code}`,
    inFullWidth(`+${abroad}`),
    `+${code}\u00a0${nationalNumber}`,
    `+${code}\u2013${nationalNumber}`,
  ];
  const inCountry = [national, atHome, `sip:${atHome}@sbc.example`, number.format("IDD", { fromCountry: "AU" })];
  return [
    ...everywhere.map((value) => ({ value })),
    ...inCountry.slice(0, 3).map((value) => ({ value, countryCode: country })),
    ...(inCountry[3] ? [{ value: inCountry[3], countryCode: "AU" }] : []),
  ];
}

function inFullWidth(text: string): string {
  return text.replaceAll(/[0-9+]/g, (character) => String.fromCodePoint((character.codePointAt(0) ?? 0) + 0xfee0));
}
