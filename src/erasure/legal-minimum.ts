import { ExceptionReason } from "../domain/privacy/erasure.ts";
import { findRule } from "../domain/privacy/retention-law.ts";
import { ALL_PURPOSES, type RecordPart } from "../domain/privacy/retention-parts.ts";
import type { Micros } from "../domain/time/instant.ts";
import type { HeldBack } from "./tally.ts";

const DAY: Micros = 86_400_000_000n;
/** Our own minimums do not keep anything from erasure. */
const OWN_CHOICE = /Tandem decision/;

/**
 * Until when a country's law demands a part of a call (GDPR 17(3)(b)); undefined: no longer, or
 * never.
 */
export function legalMinimum(country: string, part: RecordPart, startTime: Micros, now: Micros): HeldBack | undefined {
  const bounds = ALL_PURPOSES.flatMap((purpose) => findRule(country, part, purpose).minimum ?? []);
  const laws = bounds.filter(({ source }) => !OWN_CHOICE.test(source)).sort((a, b) => b.days - a.days);
  const [longest] = laws;
  if (!longest) return undefined;
  const due = startTime + BigInt(longest.days) * DAY;
  return due > now ? { reason: ExceptionReason.LEGAL_MINIMUM, due, source: longest.source } : undefined;
}
