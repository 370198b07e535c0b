import { PartyKind } from "../../gen/tandem/type/v1/party_pb.js";
import type { Party } from "../calls/party.ts";
import { isSameNumber, type NumberKey, numberKeyOf } from "../matching/number-keys.ts";
import { readText, starFound } from "../numbers/number-in-text.ts";
import { digitsMaybeMasked, maskedSearchPattern, SHOWN_AS_STARS, searchPattern } from "../numbers/number-pattern.ts";
import { canonicalNumber, e164Forms, nationalDigitsOf, prefixesBehindCallingCode } from "../numbers/spelling.ts";
import { digitsOf } from "./masking.ts";

/** Shorter national numbers are masked only where they stand alone. */
const MIN_FOUND_ANYWHERE = 6;
/** An erased number in any spelling. */
export class ErasedNumber {
  readonly phoneNumber: string;
  /** All its E.164 forms. */
  readonly forms: readonly string[];
  /** A PostgreSQL regular expression for all that may hold it; hits are checked again. */
  readonly pattern: string;
  /** The same, where the last three digits may be masked. */
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

  isParty(party: Party): boolean {
    const key = numberKeyOf(party);
    return key !== undefined && isSameNumber(key, this.#key);
  }

  /** In any of its forms. */
  isNumber(e164: string | undefined | null): boolean {
    if (e164 === undefined || e164 === null) return false;
    return e164 === this.phoneNumber || canonicalNumber(e164) === this.#canonical;
  }

  isIn(text: string): boolean {
    return this.#mayBeIn(text, 0) && readText(text).spelled.search(this.#text) >= 0;
  }

  /** Replaces each digit of the number by `*`. Everything else stays, so equal texts stay equal. */
  mask(text: string): string {
    return this.isIn(text) ? starFound(readText(text), this.#text) : text;
  }

  /** Also finds the number with its last digits already masked. */
  maskAll(text: string): string {
    return this.#mayBeIn(text, SHOWN_AS_STARS) ? starFound(readText(text, true), this.#masked) : text;
  }

  /** The same for bytes, whose length stays. */
  maskBytes(bytes: Buffer): Buffer {
    return Buffer.from(starFound(readText(bytes), this.#text), "latin1");
  }

  // A quick test: most texts have none of its digits.
  #mayBeIn(text: string, hidden: number): boolean {
    if (text.length < this.#leastDigits) return false;
    const digits = digitsOf(text);
    return this.#nationals.some((national) => digits.includes(national.slice(0, national.length - hidden)));
  }
}

// The calling code, and perhaps a trunk prefix or infix, comes first.
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
