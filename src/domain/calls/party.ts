import { PartyKind, Presentation } from "../../gen/tandem/type/v1/party_pb.js";
import { RecordIssue } from "../../gen/tandem/type/v1/upload_pb.js";
import { isCountry } from "../carriers/country.ts";
import { lastValue } from "../enum-values.ts";
import { maskLastDigits } from "../privacy/masking.ts";
import {
  form,
  known,
  problem,
  quote,
  quoteMasked,
  type RecordProblem,
  requiredText,
  stated,
  within,
} from "./field-checks.ts";

export interface Party {
  /** A PartyKind, or whatever was sent. */
  kind: number;
  value?: string | undefined;
  countryCode?: string | undefined;
  presentation: number;
}

/** Checks kind and form of the value. */
export function checkParty(party: Party): RecordProblem | undefined {
  return stated("kind", party.kind, PartyKind.ERASED) ?? checkValue(party);
}

/** Checks country and presentation, without which the party is still known. */
export function checkPartyDetails(party: Party): RecordProblem | undefined {
  return checkCountry(party.countryCode) ?? known("presentation", party.presentation, LAST_PRESENTATION);
}

/** Checks the party in a field, if there is one, as `checkParty`. */
export function checkPartyIn(field: string, party: Party | undefined): RecordProblem | undefined {
  return party && within(field, checkParty(party));
}

/** Checks the party in a field, if there is one, as `checkPartyDetails`. */
export function checkPartyDetailsIn(field: string, party: Party | undefined): RecordProblem | undefined {
  return party && within(field, checkPartyDetails(party));
}

/** The number of a party that has one in E.164 form. */
export function e164Of(party: Party | undefined): string | undefined {
  return party !== undefined && party.kind === PartyKind.E164 ? party.value : undefined;
}

/** + and 2 to 15 digits, the first not 0. The number need not be in use. */
export function isE164(text: string): boolean {
  return E164.test(text);
}

/**
 * A party's value for readers who are not concerned: the last three digits as `***`, and all digits
 * after the number, as in a URI. User names and other scripts are masked whole; short and emergency
 * codes stay. Usage does the same in SQL.
 */
export function maskedValue(party: Party): string | undefined {
  const { kind, value } = party;
  if (value === undefined) return undefined;
  const isCode = kind === PartyKind.SHORT_CODE || kind === PartyKind.EMERGENCY;
  if (isCode && CODE.test(value)) return value;
  if (!ASCII.test(value)) return "***";
  const number = value.slice(0, value.search(/[@;]|$/));
  const rest = value.slice(number.length).replaceAll(/[0-9]/g, "*");
  const count = number.replaceAll(/[^0-9]/g, "").length;
  if (count === 0) return "***";
  // More digits than a number has: several numbers.
  return (count > MOST_DIGITS ? number.replaceAll(/[0-9]/g, "*") : maskLastDigits(number)) + rest;
}

/** In the country, or everywhere without one. */
export function isEmergencyNumber(code: string, countryCode?: string): boolean {
  if (EMERGENCY_EVERYWHERE.has(code)) return true;
  return countryCode !== undefined && (EMERGENCY_IN[countryCode]?.includes(code) ?? false);
}

const LAST_PRESENTATION = lastValue(Presentation);
/** E.164's fifteen. */
const MOST_DIGITS = 15;
// biome-ignore lint/suspicious/noControlCharactersInRegex: whatever is ASCII
const ASCII = /^[\u0000-\u007f]*$/;
const E164 = /^\+[1-9][0-9]{1,14}$/;
const CODE = /^[0-9]{2,8}$/;
/** A SIP URI has no limit (RFC 3261); those on the wire, with all their parameters, are shorter. */
const NON_E164_CHARACTERS = 256;
// Nothing that steers a terminal or hides: controls, formats, unpaired surrogates, private use,
// line and paragraph separators.
const PRINTABLE = /^[^\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]*$/u;

/**
 * 3GPP TS 22.101 section 10.1.1: 112 and 911 wherever the phone is; 000 and 999 are nothing else
 * where they are anything.
 */
const EMERGENCY_EVERYWHERE: ReadonlySet<string> = new Set(["112", "911", "000", "999"]);
/**
 * The most used national ones besides; elsewhere the same digits may be a short code (118 is
 * directory enquiries in most of Europe).
 */
const EMERGENCY_IN: Readonly<Record<string, readonly string[]>> = {
  AT: ["122", "133", "144"],
  BE: ["100", "101"],
  BR: ["190", "192", "193"],
  CH: ["117", "118", "144"],
  CN: ["110", "119", "120"],
  CZ: ["150", "155", "158"],
  DE: ["110"],
  ES: ["061", "080", "091"],
  FR: ["15", "17", "18", "114"],
  GR: ["100", "166", "199"],
  HU: ["104", "105", "107"],
  IN: ["100", "101", "102", "108"],
  IT: ["113", "115", "118"],
  JP: ["110", "118", "119"],
  KR: ["119"],
  NO: ["110", "113"],
  NZ: ["111"],
  PL: ["997", "998"],
  SG: ["995"],
  TW: ["110", "119"],
  ZA: ["10111", "10177"],
};

function checkValue(party: Party): RecordProblem | undefined {
  switch (party.kind) {
    case PartyKind.E164:
      return checkForm(
        party,
        E164,
        "E.164: + and 2 to 15 digits, the first not 0; send anything else as PARTY_KIND_NON_E164",
      );
    case PartyKind.SHORT_CODE:
      return checkForm(party, CODE, "2 to 8 digits") ?? checkNoEmergency(party);
    case PartyKind.EMERGENCY:
      return checkForm(party, CODE, "2 to 8 digits");
    case PartyKind.NON_E164:
      return (
        requiredText("value", party.value, NON_E164_CHARACTERS) ??
        form("value", party.value, PRINTABLE, "printable characters")
      );
    case PartyKind.RESTRICTED:
    case PartyKind.UNAVAILABLE:
      if (party.value === undefined) return undefined;
      return problem(
        RecordIssue.FIELDS_INCONSISTENT,
        "value",
        "is present, but the party is restricted or unavailable",
      );
    default:
      return problem(RecordIssue.FIELD_MALFORMED, "kind", "is PARTY_KIND_ERASED, which is output only");
  }
}

// Length and text come with the pattern; they are looked at only to say more exactly what is wrong.
function checkForm(party: Party, pattern: RegExp, expected: string): RecordProblem | undefined {
  const { value } = party;
  if (value !== undefined && pattern.test(value)) return undefined;
  const missing = requiredText("value", value, NON_E164_CHARACTERS);
  if (missing !== undefined || value === undefined) return missing;
  const shown = quoteMasked(maskLastDigits(value));
  return problem(RecordIssue.FIELD_MALFORMED, "value", `is ${shown}, expected ${expected}`);
}

function checkNoEmergency(party: Party): RecordProblem | undefined {
  if (!isEmergencyNumber(party.value ?? "", party.countryCode)) return undefined;
  return problem(
    RecordIssue.FIELDS_INCONSISTENT,
    "kind",
    `is a short code but has the emergency number ${party.value}, expected PARTY_KIND_EMERGENCY`,
  );
}

function checkCountry(countryCode: string | undefined): RecordProblem | undefined {
  if (countryCode === undefined || isCountry(countryCode)) return undefined;
  return problem(
    RecordIssue.FIELD_MALFORMED,
    "country_code",
    `is ${quote(countryCode)}, expected an ISO 3166-1 alpha-2 code`,
  );
}
