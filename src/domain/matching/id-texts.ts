import type { CorrelationIds } from "./facts.ts";
import { dialogTexts, icidTexts, sessionTexts } from "./signalling-ids.ts";

/** The texts by which a record's ids are looked up, by kind; the best kind first. */
export function idTexts(ids: CorrelationIds): readonly (readonly string[])[] {
  return [
    dialogTexts(ids).map((text) => `dialog/${text}`),
    icidTexts(ids).map((text) => `icid/${text}`),
    sessionTexts(ids).map((text) => `session/${text}`),
  ];
}

/**
 * A 64-bit hash for a bigint column: two 32-bit FNV-1a with different starts. Hits are compared in
 * full afterwards.
 */
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
