import { e164Of, type Party } from "../domain/calls/party.ts";
import type { CommonFacts, CorrelationIds, RecordRef } from "../domain/matching/facts.ts";
import { numberKeyOf } from "../domain/matching/number-keys.ts";
import type { CallResult } from "../domain/matching/result.ts";
import { hash64, idTexts } from "../domain/matching/signalling-ids.ts";
import { isHiddenCaller } from "../domain/numbers/spelling.ts";
import { MatchedBy } from "../gen/tandem/type/v1/discrepancy_pb.js";

/** The last digits tell numbers apart; what precedes them is written in many ways. */
const TELLING_DIGITS = 8;

/** The key of a record's two parties, for counterparts far away; undefined: one is unknown. */
export function pairKeyOf(facts: CommonFacts): bigint | undefined {
  const isOutbound = facts.direction === 1;
  const other = isOutbound ? (facts.called ?? facts.dialed) : facts.calling;
  const own = facts.phoneNumber ?? e164Of(isOutbound ? facts.calling : facts.called);
  const digits = lastDigits(other);
  if (own === undefined || digits === undefined) return undefined;
  return hash64(`${facts.direction}/${own}/${digits}`);
}

/**
 * Keys of the ids by which a record could belong to this call or take one of its records: the kind
 * that joined the pair and better ones, or all without a pair.
 */
export function idKeysOf({
  platform,
  carrier,
  matchedBy,
}: Pick<CallResult, "platform" | "carrier" | "matchedBy">): bigint[] {
  const records = platform === undefined ? carrier : [platform, ...carrier];
  const kinds = carrier.length === 0 || platform === undefined ? 3 : kindsUpTo(matchedBy);
  const texts = records.flatMap(({ ids }) => idTexts(ids).slice(0, kinds).flat());
  return [...new Set(texts)].map(hash64);
}

export function hasIds(ids: CorrelationIds): boolean {
  return idTexts(ids).some((texts) => texts.length > 0);
}

function kindsUpTo(matchedBy: MatchedBy | undefined): number {
  if (matchedBy === MatchedBy.INTERCONNECT_DIALOG) return 1;
  return matchedBy === MatchedBy.ICID ? 2 : 3;
}

/** The key of a platform's record id, which a carrier may send back. */
export function echoKeyOf(recordId: string): bigint {
  return hash64(`record/${recordId}`);
}

/** The key of a carrier's record, for a pair that begins far from it. */
export function durationKeyOf({ recordDate, recordId }: Pick<RecordRef, "recordDate" | "recordId">): bigint {
  return hash64(`duration/${recordDate}/${recordId}`);
}

// Alike in every spelling; a host's digits do not count.
function lastDigits(party: Party | undefined): string | undefined {
  const key = party && numberKeyOf(party);
  if (key === undefined || party?.value === undefined || isHiddenCaller(party.value)) return undefined;
  return key.form === "NAME" ? key.digits : (key.readings[0] ?? key.digits).slice(-TELLING_DIGITS);
}
