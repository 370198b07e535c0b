import { e164Of, isE164, type Party } from "../../domain/calls/party.ts";
import { countryOfNumber } from "../../domain/carriers/country.ts";
import { numbersOfParty } from "../../domain/matching/number-keys.ts";
import { isHiddenCaller } from "../../domain/numbers/spelling.ts";
import type { WireWriter } from "../../domain/wire-writer.ts";
import { AttributionBasis } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { Direction } from "../../gen/tandem/type/v1/call_pb.js";
import type { AttributionCandidate } from "./prepared.ts";

/** The parties of a call, as durations and call detail records have them. */
export interface Parties {
  calling?: Party | undefined;
  asserted?: Party | undefined;
  called?: Party | undefined;
  dialed?: Party | undefined;
  redirecting?: Party | undefined;
}

/** Where a message holds each party: the field numbers of the contract. */
export type PartyFields = Readonly<Record<keyof Parties, number>>;

/** The numbers that may decide whose call it is, by the contract's order. */
export function attributionCandidates(direction: number, parties: Parties): AttributionCandidate[] {
  const candidates: AttributionCandidate[] = [];
  if (direction === Direction.INBOUND) addCandidate(candidates, AttributionBasis.CALLED, parties.called);
  if (direction !== Direction.OUTBOUND) return candidates;
  addCandidate(candidates, AttributionBasis.REDIRECTING, parties.redirecting);
  addCandidate(candidates, AttributionBasis.ASSERTED, parties.asserted);
  addCandidate(candidates, AttributionBasis.CALLING, parties.calling);
  return candidates;
}

// Every possible reading of a spelling is compared with the carrier's numbers: a wrong reading
// matches one of them only by chance.
function addCandidate(candidates: AttributionCandidate[], basis: number, party: Party | undefined): void {
  if (party?.value !== undefined) candidates.push(...partyCandidates(basis, party));
}

/** The numbers of one party that may decide whose call it is. */
export function partyCandidates(basis: number, party: Party): AttributionCandidate[] {
  return numbersOfParty(party).map((number) => ({ basis, number }));
}

/** What two records of one call have in common if it is sent again under another day. */
export function partyText(direction: number, connectedDurationMs: bigint | undefined, parties: Parties): string {
  let text = `${direction} ${connectedDurationMs ?? ""}`;
  for (const name of PARTY_NAMES) {
    const party = parties[name];
    // A value holds no line break, so that no two lists of parties read alike.
    text += party === undefined ? "\n" : `\n${party.kind} ${party.value ?? ""}`;
  }
  return text;
}

/**
 * Whether a party's country only follows from its number. Such a country is not content: it may be
 * sent or left to be derived.
 */
export function hasDerivedCountry(party: Party): boolean {
  return party.countryCode !== undefined && party.countryCode === derivedCountry(party);
}

/**
 * Appends the countries that follow from the parties' numbers and were not sent, as parts of the
 * same parties: they merge when read.
 */
export function writeDerivedCountries(writer: WireWriter, parties: Parties, fields: PartyFields): void {
  for (const name of PARTY_NAMES) {
    const party = parties[name];
    if (party === undefined) continue;
    const country = derivedCountry(party);
    if (country === undefined || (party.countryCode !== undefined && party.countryCode !== country)) continue;
    writer.uint32((fields[name] << 3) | LENGTH_DELIMITED);
    const mark = writer.open();
    writer.uint32((COUNTRY_CODE_FIELD << 3) | LENGTH_DELIMITED);
    writer.string(country);
    writer.close(mark);
  }
}

const LENGTH_DELIMITED = 2;
/** tandem.type.v1.Party.country_code */
const COUNTRY_CODE_FIELD = 3;
const PARTY_NAMES = ["calling", "asserted", "called", "dialed", "redirecting"] as const;

/** The country that follows from a party's number. */
export function derivedCountry(party: Party): string | undefined {
  const number = e164Of(party);
  return number !== undefined && isE164(number) && !isHiddenCaller(number) ? countryOfNumber(number) : undefined;
}
