import { e164Of, type Party } from "../domain/calls/party.ts";
import type { CommonFacts, CorrelationIds, RecordRef } from "../domain/matching/facts.ts";
import { hash64, idTexts } from "../domain/matching/id-texts.ts";
import { numberKeyOf } from "../domain/matching/number-keys.ts";
import type { CallResult } from "../domain/matching/result.ts";
import { isHiddenCaller } from "../domain/numbers/spelling.ts";
import { MatchedBy } from "../gen/tandem/type/v1/discrepancy_pb.js";

/**
 * So many last digits of a number tell it apart; what stands before them, prefixes and codes, is
 * written in many ways.
 */
const TELLING_DIGITS = 8;

/**
 * Which two parties a record is of, for looking for its counterpart far off; undefined when either
 * is not known.
 */
export function pairKeyOf(facts: CommonFacts): bigint | undefined {
  const isOutbound = facts.direction === 1;
  const other = isOutbound ? (facts.called ?? facts.dialed) : facts.calling;
  const own = facts.phoneNumber ?? e164Of(isOutbound ? facts.calling : facts.called);
  const digits = lastDigits(other);
  if (own === undefined || digits === undefined) return undefined;
  return hash64(`${facts.direction}/${own}/${digits}`);
}

/**
 * The ids under which further records would be of a result's call or take one of its records: of
 * the kind that joined it and the better ones; all, where no id did.
 */
export function idKeysOf({ platform, carrier, matchedBy }: CallResult): bigint[] {
  const records = platform === undefined ? carrier : [platform, ...carrier];
  const kinds = carrier.length === 0 || platform === undefined ? 3 : kindsUpTo(matchedBy);
  const texts = records.flatMap(({ ids }) => idTexts(ids).slice(0, kinds).flat());
  return [...new Set(texts)].map(hash64);
}

/** Whether a record has any id of the signalling. */
export function hasIds(ids: CorrelationIds): boolean {
  return idTexts(ids).some((texts) => texts.length > 0);
}

function kindsUpTo(matchedBy: MatchedBy | undefined): number {
  if (matchedBy === MatchedBy.INTERCONNECT_DIALOG) return 1;
  return matchedBy === MatchedBy.ICID ? 2 : 3;
}

/** Names a record of the platform, as a carrier that sends its id back does. */
export function echoKeyOf(recordId: string): bigint {
  return hash64(`record/${recordId}`);
}

/** Names a record of the carrier, for finding the result of a pair that begins far from it. */
export function durationKeyOf({ recordDate, recordId }: Pick<RecordRef, "recordDate" | "recordId">): bigint {
  return hash64(`duration/${recordDate}/${recordId}`);
}

// In its one form, so that every spelling has the same; not the digits of a host.
function lastDigits(party: Party | undefined): string | undefined {
  const key = party && numberKeyOf(party);
  if (key === undefined || party?.value === undefined || isHiddenCaller(party.value)) return undefined;
  return key.form === "NAME" ? key.digits : (key.readings[0] ?? key.digits).slice(-TELLING_DIGITS);
}
