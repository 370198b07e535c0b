import { PartyKind } from "../../gen/tandem/type/v1/party_pb.js";
import type { Party } from "../calls/party.ts";
import { isSameNumber, type NumberKey, numberKeyOf } from "../matching/number-keys.ts";
import { readText, starFound } from "../numbers/number-in-text.ts";
import { digitsMaybeMasked, maskedSearchPattern, SHOWN_AS_STARS, searchPattern } from "../numbers/number-pattern.ts";
import { canonicalNumber, e164Forms, nationalDigitsOf, prefixesBehindCallingCode } from "../numbers/spelling.ts";
import { digitsOf } from "./masking.ts";

/**
 * A national number this short would be found in many others: it is masked only where it stands
 * alone.
 */
const MIN_FOUND_ANYWHERE = 6;
/**
 * One number that is erased, in whatever form it was written: E.164, national, with prefixes and
 * separators, in a sip: or tel: URI.
 */
export class ErasedNumber {
  /** E.164. */
  readonly phoneNumber: string;
  /** Every E.164 form of it. */
  readonly forms: readonly string[];
  /**
   * A regular expression, for PostgreSQL, that finds every text and all bytes in which it may
   * occur; what it finds is looked at again.
   */
  readonly pattern: string;
  /** The same, of texts in which the last three digits may be masked. */
  readonly maskedPattern: string;
  readonly #canonical: string;
  readonly #key: NumberKey;
  readonly #nationals: readonly string[];
  readonly #leastDigits: number;
  readonly #text: RegExp;
  readonly #masked: RegExp;

  constructor(phoneNumber: string) {
    const key = numberKeyOf({ kind: PartyKind.E164, value: phoneNumber, presentation: 0 });
    if (!key) throw new Error("expected a number in E.164 form");
    this.phoneNumber = phoneNumber;
    this.forms = e164Forms(phoneNumber);
    this.#canonical = canonicalNumber(phoneNumber);
    this.#key = key;
    const nationals = nationalDigitsOf(phoneNumber);
    this.#nationals = nationals;
    this.#leastDigits = Math.min(...nationals.map(({ length }) => length));
    this.pattern = searchPattern(phoneNumber);
    this.maskedPattern = maskedSearchPattern(phoneNumber);
    this.#text = exactPattern(nationals, key.callingCode, (digits) => [...digits]);
    this.#masked = exactPattern(nationals, key.callingCode, digitsMaybeMasked);
  }

  /** Whether a party is this number. */
  isParty(party: Party): boolean {
    const key = numberKeyOf(party);
    return key !== undefined && isSameNumber(key, this.#key);
  }

  /** Whether an E.164 number is this one, in one form or another. */
  isNumber(e164: string | undefined | null): boolean {
    if (e164 === undefined || e164 === null) return false;
    return e164 === this.phoneNumber || canonicalNumber(e164) === this.#canonical;
  }

  /** Whether a text holds the number. */
  isIn(text: string): boolean {
    return this.#mayBeIn(text, 0) && readText(text).spelled.search(this.#text) >= 0;
  }

  /**
   * A text with every digit of the number as `*`, wherever it stands in it. What was no digit
   * stays, so that equal texts stay equal.
   */
  mask(text: string): string {
    return this.isIn(text) ? starFound(readText(text), this.#text) : text;
  }

  /** The same for a text in which the last digits were masked before. */
  maskAll(text: string): string {
    return this.#mayBeIn(text, SHOWN_AS_STARS) ? starFound(readText(text, true), this.#masked) : text;
  }

  /** The same for bytes in which texts are: they stay as long as they were. */
  maskBytes(bytes: Buffer): Buffer {
    return Buffer.from(starFound(readText(bytes), this.#text), "latin1");
  }

  // Most texts have none of its digits, and are not read character by character.
  #mayBeIn(text: string, hidden: number): boolean {
    if (text.length < this.#leastDigits) return false;
    const digits = digitsOf(text);
    return this.#nationals.some((national) => digits.includes(national.slice(0, national.length - hidden)));
  }
}

// Every E.164 form has the calling code before it, and some a trunk prefix or an infix behind that.
function exactPattern(
  nationals: readonly string[],
  callingCode: string,
  digitsOf: (digits: string) => string[],
): RegExp {
  const code = [...callingCode].join(" ?");
  const trunk = `(?:${["0", ...prefixesBehindCallingCode(callingCode)].map((prefix) => [...prefix].join(" ?")).join("|")})`;
  const patterns = nationals.map((digits) => {
    const national = digitsOf(digits).join(" ?");
    if (digits.length >= MIN_FOUND_ANYWHERE) return `(?:${code} ?(?:${trunk} ?)?)?${national}`;
    return `(?<![0-9*])(?:(?:0 ?0 ?|0 ?1 ?1 ?)?${code} ?)?(?:${trunk} ?)?${national}(?![0-9*])`;
  });
  return new RegExp(patterns.join("|"), "g");
}
