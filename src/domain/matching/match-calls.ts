import { carrierOf, judgePairing, judgeVoided } from "./call-results.ts";
import { byStart, type CarrierUnit, carrierUnit, type PlatformUnit, platformUnit } from "./call-unit.ts";
import type { MatchingAgreement, MatchingInput } from "./facts.ts";
import { pairUnits } from "./pairing/candidates.ts";
import type { Pairing } from "./pairing/pairing.ts";
import { mergePlatformParts } from "./pairing/platform-parts.ts";
import { mergeKnownParts, mergeLeftParts } from "./pairing/split-calls.ts";
import type { CallResult } from "./result.ts";

/**
 * The result of each call. Every record is in exactly one. The order of records does not matter,
 * and unrelated records do not influence each other.
 */
export function matchCalls(input: MatchingInput): CallResult[] {
  const { live, voided } = pairCalls(input);
  return [...judgePairing(live, input), ...judgeVoided(voided, input)];
}

/** Pairs records without judging them. Voided records pair with each other only. */
export function pairCalls({ platform, carrier, offsetOf, agreement }: MatchingInput): {
  live: Pairing;
  voided: Pairing;
} {
  const live: Units = { platform: [], carrier: [] };
  const voided: Units = { platform: [], carrier: [] };
  for (const facts of platform) (facts.isVoid ? voided : live).platform.push(platformUnit(facts));
  for (const facts of carrier) (facts.isVoid ? voided : live).carrier.push(carrierUnit(facts, offsetOf));
  return { live: pairAll(live, agreement), voided: pairAll(voided, agreement) };
}

interface Units {
  readonly platform: PlatformUnit[];
  readonly carrier: CarrierUnit[];
}

function pairAll({ platform, carrier }: Units, agreement: MatchingAgreement): Pairing {
  const pairing = pairUnits(platform.sort(byStart), mergeKnownParts(carrier.sort(byStart)), agreement);
  mergeLeftParts(pairing);
  mergePlatformParts(pairing, (index) => carrierOf(pairing, index));
  return pairing;
}
