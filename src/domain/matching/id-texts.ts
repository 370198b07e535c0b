import { sessionOf } from "./correlation.ts";
import type { CorrelationIds } from "./facts.ts";

/** What a record's ids of the signalling are looked up by: one text of each kind, the best kind first. */
export function idTexts({ dialogCallId, icid, sessionId }: CorrelationIds): (string | undefined)[] {
  return [
    dialogCallId === undefined ? undefined : `dialog/${dialogCallId}`,
    icid === undefined ? undefined : `icid/${icid}`,
    sessionId === undefined ? undefined : `session/${sessionOf(sessionId)}`,
  ];
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
