import { isSameNumber, type NumberKey, numberKeyOf } from "./matching/number-keys.ts";
import { type Party, PartyKind } from "./party.ts";

/** What may stand between two digits of a number, as people and switches write it. */
const SEPARATORS = "[ ().\\-/]{0,3}";
/** A national number this short would be found in many others: it is masked only where it stands alone. */
const MIN_FOUND_ANYWHERE = 6;

/** One number that is erased, in whatever form it was written: E.164, national, with prefixes and separators, in a sip: or tel: URI. */
export class ErasedNumber {
  /** E.164. */
  readonly phoneNumber: string;
  /** A regular expression, for PostgreSQL too, that finds every text in which it may occur; what it finds is looked at again. */
  readonly pattern: string;
  /** The same, of texts in which the last three digits may be masked. */
  readonly maskedPattern: string;
  readonly #key: NumberKey;
  readonly #text: RegExp;
  readonly #masked: RegExp;

  constructor(phoneNumber: string) {
    const key = numberKeyOf({ kind: PartyKind.E164, value: phoneNumber, presentation: 0 });
    if (!key) throw new Error("expected a number in E.164 form");
    this.phoneNumber = phoneNumber;
    this.#key = key;
    const digits = [...key.nationalDigits];
    this.pattern = digits.join(SEPARATORS);
    this.maskedPattern = [...digits.slice(0, -3), ...digits.slice(-3).map((digit) => `[${digit}*]`)].join(SEPARATORS);
    const before = `(?:${[...key.callingCode].join(SEPARATORS)}${SEPARATORS}(?:0${SEPARATORS})?)?`;
    const [start, end] = digits.length < MIN_FOUND_ANYWHERE ? ["(?<!\\d)", "(?!\\d)"] : ["", ""];
    this.#text = new RegExp(`${start}${before}${this.pattern}${end}`, "g");
    this.#masked = new RegExp(`${start}${before}${this.maskedPattern}${end}`, "g");
  }

  /** Whether a party is this number. */
  isParty(party: Party): boolean {
    const key = numberKeyOf(party);
    return key !== undefined && isSameNumber(key, this.#key);
  }

  /** Whether a text holds the number. */
  isIn(text: string): boolean {
    return text.search(this.#text) >= 0;
  }

  /** A text with every digit of the number as `*`, wherever it stands in it. What was no digit stays, so that equal texts stay equal. */
  mask(text: string): string {
    return text.replace(this.#text, maskDigits);
  }

  /** The same for a text in which the last digits were masked before. */
  maskAll(text: string): string {
    return text.replace(this.#masked, maskDigits);
  }
}

function maskDigits(text: string): string {
  return text.replaceAll(/\d/g, "*");
}
