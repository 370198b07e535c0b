import { ComparisonBasis, DiscrepancyStatus, MatchedBy } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import {
  arrivalOf,
  connectedAtCarrier,
  connectedAtPlatform,
  isCarrierInScope,
  isPlatformInScope,
} from "./call-unit.ts";
import { latenessOf } from "./causes.ts";
import type { ClockOffset, MatchingInput } from "./facts.ts";
import type { LonePair, Parted } from "./pairing/lone-pairs.ts";
import { CUT_SLACK_MS } from "./pairing/split-calls.ts";
import type { CallResult } from "./result.ts";

/** What a lone pair comes to, if nothing has to be said of it. */
export interface LoneResult extends Pick<CallResult, "status" | "basis"> {
  readonly pair: LonePair;
  /** Connected durations; undefined: unanswered. */
  readonly platformMs: number | undefined;
  readonly carrierMs: number | undefined;
  /** Start by the platform's clock, and by the carrier's. */
  readonly startMs: number;
  readonly carrierStartMs: number;
}

/** Lone pairs that are judged, and the input for the matcher without them. */
export interface Apart {
  readonly lone: readonly LoneResult[];
  readonly input: MatchingInput;
}

/**
 * Judges lone pairs, and leaves the others and all other records to the matcher.
 * @param isWhole whether everything near a pair was read.
 */
export function setApart(
  parted: Parted,
  input: Omit<MatchingInput, "platform" | "carrier">,
  isWhole: (pair: LonePair) => boolean = () => true,
): Apart {
  const lone: LoneResult[] = [];
  const platform = [...parted.platform];
  const carrier = [...parted.carrier];
  for (const pair of parted.pairs) {
    const result = isWhole(pair) ? judgeLonePair(pair, input) : undefined;
    if (result !== undefined) {
      lone.push(result);
      continue;
    }
    platform.push(pair.platform);
    carrier.push(pair.carrier);
  }
  return { lone, input: { ...input, platform, carrier } };
}

// Undefined: it disagrees or has a finding, which the matcher tells.
function judgeLonePair(pair: LonePair, input: Omit<MatchingInput, "platform" | "carrier">): LoneResult | undefined {
  const { platform, carrier, by } = pair;
  const { agreement } = input;
  if (!isClockRight(input.offsetOf(carrier))) return undefined;
  const startMs = platform.inviteMs ?? platform.answerMs;
  const carrierStartMs = carrier.inviteMs ?? carrier.answerMs;
  if (startMs === undefined || carrierStartMs === undefined) return undefined;
  const sides = {
    platform: { facts: platform, startMs, endMs: platform.endMs, arrivalMs: arrivalOf(platform) },
    carrier: {
      facts: carrier,
      startMs: carrierStartMs,
      endMs: carrier.endMs,
      arrivalMs: arrivalOf(carrier),
      answered: carrier.answered,
    },
  };
  if (latenessOf(sides, agreement.graceMs) !== undefined) return undefined;
  // By numbers only what is asked for alike is one call without doubt.
  const isByNumbers = by === MatchedBy.NUMBERS_AND_TIME;
  if (isByNumbers && isPlatformInScope(sides.platform, agreement) !== isCarrierInScope(sides.carrier, agreement)) {
    return undefined;
  }
  const times = { pair, startMs, carrierStartMs };
  if (!platform.answered) {
    const status = DiscrepancyStatus.MATCHED_UNANSWERED;
    return { ...times, status, basis: ComparisonBasis.UNSPECIFIED, platformMs: undefined, carrierMs: undefined };
  }
  const platformMs = connectedAtPlatform(platform);
  const carrierMs = connectedAtCarrier(carrier);
  if (platformMs === undefined || carrierMs === undefined) return undefined;
  const lengths = { ...times, platformMs, carrierMs, basis: ComparisonBasis.CONNECTED_DURATION };
  if (platformMs === carrierMs) return { ...lengths, status: DiscrepancyStatus.MATCHED_EXACT };
  if (Math.abs(carrierMs - platformMs) > Math.min(agreement.toleranceMs, CUT_SLACK_MS)) return undefined;
  if (input.roundingOf(carrier) !== undefined) return undefined;
  return { ...lengths, status: DiscrepancyStatus.WITHIN_TOLERANCE };
}

function isClockRight(offset: ClockOffset | undefined): boolean {
  return offset === undefined || (offset.offsetMs === 0 && offset.kind === "NONE" && offset.second === undefined);
}
