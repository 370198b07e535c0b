import { sessionOf } from "../domain/matching/correlation.ts";
import type { CommonFacts, CorrelationIds, RecordRef } from "../domain/matching/facts.ts";
import { e164Of, type Party } from "../domain/party.ts";

/** So many last digits of a number tell it apart; what stands before them, prefixes and codes, is written in many ways. */
const TELLING_DIGITS = 8;

/** Which two parties a record is of, for looking for its counterpart far off; undefined when either is not known. */
export function pairKeyOf(facts: CommonFacts): bigint | undefined {
  const isOutbound = facts.direction === 1;
  const other = isOutbound ? (facts.called ?? facts.dialed) : facts.calling;
  const own = facts.phoneNumber ?? e164Of(isOutbound ? facts.calling : facts.called);
  const digits = lastDigits(other);
  if (own === undefined || digits === undefined) return undefined;
  return hash64(`${facts.direction}/${own}/${digits}`);
}

/** The best id of the signalling that a record has, under which its counterpart finds it far off. */
export function correlationKeyOf(ids: CorrelationIds): bigint | undefined {
  return correlationKeysOf(ids)[0];
}

/** Every id of the signalling that a record has, the best first: its counterpart may have but one of them. */
export function correlationKeysOf({ dialogCallId, icid, sessionId }: CorrelationIds): bigint[] {
  const texts = [
    dialogCallId === undefined ? undefined : `dialog/${dialogCallId}`,
    icid === undefined ? undefined : `icid/${icid}`,
    sessionId === undefined ? undefined : `session/${sessionOf(sessionId)}`,
  ];
  return texts.flatMap((text) => (text === undefined ? [] : [hash64(text)]));
}

/** Names a record of the platform, as a carrier that sends its id back does. */
export function echoKeyOf(recordId: string): bigint {
  return hash64(`record/${recordId}`);
}

/** Names a record of the carrier, for finding the result of a pair that begins far from it. */
export function durationKeyOf({ recordDate, recordId }: RecordRef): bigint {
  return hash64(`duration/${recordDate}/${recordId}`);
}

function lastDigits(party: Party | undefined): string | undefined {
  if (party?.value === undefined) return undefined;
  const digits = party.value.replace(/\D/g, "");
  return digits === "" ? party.value : digits.slice(-TELLING_DIGITS);
}

/** A hash of a text for a bigint column: two FNV-1a of 32 bits with different starts. What it finds is compared in full afterwards. */
export function hash64(text: string): bigint {
  let low = 0x811c9dc5;
  let high = 0x9747b28c;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    low = Math.imul(low ^ unit, 0x01000193);
    high = Math.imul(high ^ unit, 0x01000193) ^ (high >>> 15);
  }
  return BigInt.asIntN(64, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0));
}
