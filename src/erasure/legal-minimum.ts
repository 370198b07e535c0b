import type { Stated } from "../domain/enum-values.ts";
import { ALL_PURPOSES } from "../domain/privacy/retention.ts";
import { findRule } from "../domain/privacy/retention-law.ts";
import { DAY, type Micros } from "../domain/time/instant.ts";
import { ErasureExceptionReason } from "../gen/tandem/platform/v1/privacy_service_pb.js";
import type { RecordPart } from "../gen/tandem/type/v1/agreement_pb.js";
import type { HeldBack } from "./erased-counts.ts";

/** Our own minimums do not keep anything from erasure. */
const OWN_CHOICE = /Tandem decision/;

/** Until when law demands a part of a call (GDPR 17(3)(b)); undefined: no longer, or never. */
export function legalMinimum(
  country: string,
  part: Stated<RecordPart>,
  startTime: Micros,
  now: Micros,
): HeldBack | undefined {
  const bounds = ALL_PURPOSES.flatMap((purpose) => findRule(country, part, purpose).minimum ?? []);
  const laws = bounds.filter(({ source }) => !OWN_CHOICE.test(source)).sort((a, b) => b.days - a.days);
  const [longest] = laws;
  if (!longest) return undefined;
  const due = startTime + BigInt(longest.days) * DAY;
  return due > now ? { reason: ErasureExceptionReason.LEGAL_MINIMUM, due, source: longest.source } : undefined;
}
