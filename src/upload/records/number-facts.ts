import { AttributionBasis } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { PartyKind, Presentation } from "../../gen/tandem/type/v1/party_pb.js";
import { derivedCountry, partyCandidates } from "./call-parties.ts";
import type { AttributionCandidate } from "./prepared.ts";

/** What records take from a number in E.164 form. */
export interface NumberFacts {
  /** The number as a figure, without its plus. */
  readonly digits: number;
  /** What it may decide, by AttributionBasis. */
  readonly candidates: readonly AttributionCandidate[][];
  /** The country that follows from it, in ASCII. */
  readonly country: Buffer | undefined;
}

/**
 * The facts of the number in bytes `[start, end)`. They are remembered, since the numbers of a
 * carrier come again and again; so all their records share one string.
 */
export function factsOfNumber(digits: number, bytes: Buffer, start: number, end: number): NumberFacts {
  const place = digits % PLACES;
  const known = remembered[place];
  if (known !== undefined && known.digits === digits) return known;
  const facts = makeFacts(digits, bytes.toString("latin1", start, end));
  remembered[place] = facts;
  return facts;
}

/** A prime, so that numbers in one range spread. Bounds what is remembered to about 5 MiB. */
const PLACES = 16_381;
const remembered: (NumberFacts | undefined)[] = new Array(PLACES).fill(undefined);
const BASES = [
  AttributionBasis.REDIRECTING,
  AttributionBasis.ASSERTED,
  AttributionBasis.CALLING,
  AttributionBasis.CALLED,
];

function makeFacts(digits: number, value: string): NumberFacts {
  const party = { kind: PartyKind.E164, value, presentation: Presentation.UNSPECIFIED };
  const candidates: AttributionCandidate[][] = [];
  for (const basis of BASES) candidates[basis] = partyCandidates(basis, party);
  const country = derivedCountry(party);
  return { digits, candidates, country: country === undefined ? undefined : Buffer.from(country, "latin1") };
}
