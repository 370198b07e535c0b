import type { CallResult, Deltas } from "./result.ts";
import { applyRule } from "./rounding.ts";

/** Carrier minus platform, as reported; undefined when a side is missing. */
export function deltasOf({ platformMeasure, carrierMeasure, billedRule }: CallResult): Deltas | undefined {
  if (platformMeasure === undefined || carrierMeasure === undefined) return undefined;
  const { connectedMs } = platformMeasure;
  const { billedS } = carrierMeasure;
  const isBilled = connectedMs !== undefined && billedS !== undefined && billedRule !== undefined;
  return present({
    connectedMs: difference(carrierMeasure.connectedMs, connectedMs),
    billedMs: isBilled ? (billedS - applyRule(billedRule, connectedMs)) * 1_000 : undefined,
    inviteMs: difference(carrierMeasure.inviteMs, platformMeasure.inviteMs),
    answerMs: difference(carrierMeasure.answerMs, platformMeasure.answerMs),
    endMs: difference(carrierMeasure.endMs, platformMeasure.endMs),
  });
}

function difference(carrier: number | undefined, platform: number | undefined): number | undefined {
  return carrier === undefined || platform === undefined ? undefined : carrier - platform;
}

function present(deltas: { [Key in keyof Deltas]: Deltas[Key] | undefined }): Deltas {
  const found: { -readonly [Key in keyof Deltas]: Deltas[Key] } = {};
  for (const key of DELTA_KEYS) {
    const value = deltas[key];
    if (value !== undefined) found[key] = value;
  }
  return found;
}

const DELTA_KEYS = ["connectedMs", "billedMs", "inviteMs", "answerMs", "endMs"] as const;
