import type { Random } from "./random.ts";

/** Countries whose carriers are simulated. */
export type HomeCountry = "GB" | "DK" | "US";

/** Most numbers of a carrier; the last 100 of each range are nobody's, see `strangerNumber`. */
export const MAX_NUMBERS_PER_CARRIER = 900;

const US_AREA_CODES = ["202", "212", "303", "312", "404", "415", "503", "617", "702", "808"] as const;
const US_OTHER_AREA_CODES = ["206", "213", "305", "313", "405", "512", "602", "713", "801", "907"] as const;

/**
 * The platform's numbers, in ranges that belong to nobody: Ofcom's and the NANPA's for drama.
 * Denmark sets none aside, but no subscriber has 10xx xxxx: its plan keeps 1 for services.
 * libphonenumber calls all of them possible, and not all valid.
 */
export function platformNumber(country: HomeCountry, index: number): string {
  if (index < 0 || index >= 1000)
    throw new RangeError(`there are 1,000 fictitious numbers a country, none is the ${index}th`);
  return PLATFORM_NUMBERS[country](index);
}

const PLATFORM_NUMBERS: Readonly<Record<HomeCountry, (index: number) => string>> = {
  GB: (index) => `+441632960${digits(index, 3)}`,
  DK: (index) => `+451000${digits(index, 4)}`,
  US: (index) => `+1${US_AREA_CODES[Math.floor(index / 100)]}55501${digits(index % 100, 2)}`,
};

/** A number in a carrier's range that it never provisioned. */
export function strangerNumber(country: HomeCountry, index: number): string {
  return platformNumber(country, MAX_NUMBERS_PER_CARRIER + (index % (1000 - MAX_NUMBERS_PER_CARRIER)));
}

/** A number on the PSTN, mostly at home, at times abroad. None is a platform number. */
export function pstnNumber(random: Random, home: HomeCountry): { value: string; countryCode: string } {
  const countryCode = random.chance(0.85) ? home : random.pick(["GB", "DK", "US", "DE", "FR"] as const);
  return { value: PSTN_NUMBERS[countryCode](random), countryCode };
}

/** What a user dials for an emergency. */
export const EMERGENCY_NUMBERS: Readonly<Record<HomeCountry, string>> = { GB: "999", DK: "112", US: "911" };

/** Directory enquiries, as short codes. */
export const SHORT_CODES: Readonly<Record<HomeCountry, string>> = { GB: "118500", DK: "118", US: "411" };

/** The number as a user at home would dial it. */
export function nationalForm(number: string): string {
  if (number.startsWith("+44")) return `0${number.slice(3)}`;
  if (number.startsWith("+45")) return number.slice(3);
  if (number.startsWith("+1")) return number.slice(2);
  return `00${number.slice(1)}`;
}

/** Numbers on the PSTN, by country; abroad, the regulators' numbers for drama. */
const PSTN_NUMBERS: Readonly<Record<HomeCountry | "DE" | "FR", (random: Random) => string>> = {
  GB: (random) => `${random.chance(0.5) ? "+442079460" : "+447700900"}${digits(random.int(0, 999), 3)}`,
  DK: (random) => `+4511${digits(random.int(0, 999_999), 6)}`,
  US: (random) => `+1${random.pick(US_OTHER_AREA_CODES)}55501${digits(random.int(0, 99), 2)}`,
  DE: (random) => `+493023125${digits(random.int(0, 999), 3)}`,
  FR: (random) => `+3319900${digits(random.int(0, 9999), 4)}`,
};

function digits(value: number, width: number): string {
  return String(value).padStart(width, "0");
}
