import type { CallDuration } from "../../../src/gen/tandem/type/v1/call_duration_pb.js";
import {
  carrierRecord,
  type SwitchView,
  switchHand,
  switchView,
} from "../../../src/simulator/reconciliation/carrier-record.ts";
import {
  type MadeCall,
  type PlayedCall,
  sentByCarrier,
  sentByPlatform,
} from "../../../src/simulator/reconciliation/played-call.ts";
import { truthOfPair } from "../../../src/simulator/reconciliation/truth.ts";
import type { TrafficSite } from "../site.ts";
import type { TrafficShape } from "../traffic-world.ts";

const MINUTE_MS = 60_000;
/** A part is no shorter: switches cut by the clock or by the hour. */
const LEAST_PART_MS = 2 * MINUTE_MS;
/** Between the end of a part and the begin of the next. */
const CUT_MS = 1_200;

/**
 * Long calls that the carrier's switch cuts in two to twelve parts without saying so. One in three
 * lacks a part.
 */
export const unnumberedSplits: TrafficShape = {
  name: "unnumbered-splits",
  play: (site, callCount) => site.fill(callCount, () => playOne(site)),
};

function playOne(site: TrafficSite): void {
  const { random } = site;
  const partCount = random.int(2, 12);
  const lost = random.weighted({ none: 66, first: 9, middle: 16, last: 9 });
  // Nobody can tell a call of one part from one whose other part never came. A part is waited for
  // as long as a call is.
  const isLost = lost !== "none" && partCount > 2;
  const connectedMs = partCount * LEAST_PART_MS + random.int(0, 90 * MINUTE_MS);
  site.happened(
    {
      planted: isLost ? `in ${partCount} parts, the ${lost} lost` : `in ${partCount} parts`,
      ends: site.ends(),
      inviteMs: site.drawMsIn({ untilMs: site.bounds.missedBeforeMs }),
      connectedMs,
    },
    (made) => {
      const parts = partsOf(made, partCount);
      const gone = { none: -1, first: 0, middle: random.int(1, partCount - 2), last: partCount - 1 }[lost];
      return playParts(made, isLost ? parts.toSpliced(gone, 1) : parts, isLost);
    },
  );
}

function playParts(made: MadeCall, parts: readonly CallDuration[], isLost: boolean): PlayedCall {
  const sumMs = parts.reduce((sum, { connectedDurationMs }) => sum + Number(connectedDurationMs ?? 0n), 0);
  const deltaMs = sumMs - made.clock.connectedMs;
  // What the cuts take may be more than what is tolerated.
  const isToldOf = isLost || Math.abs(deltaMs) > made.toleranceMs;
  const truth = truthOfPair({
    deltaMs,
    toleranceMs: made.toleranceMs,
    offsetMs: 0,
    isRounded: false,
    causes: isToldOf ? ["SPLIT"] : [],
  });
  return {
    cdrs: [sentByPlatform(made, made.cdr)],
    durations: parts.map((part) => sentByCarrier(made, part, Number(part.endTime?.seconds ?? 0n) * 1_000)),
    truths: [
      { platformRecordId: made.cdr.recordId, carrierRecordIds: parts.map(({ recordId }) => recordId), ...truth },
    ],
  };
}

function partsOf(made: MadeCall, partCount: number): CallDuration[] {
  const { random } = made;
  const hand = switchHand(made, random);
  return partViews(made, partCount).map((view) => carrierRecord({ ...made, view }, random, hand));
}

/** Of any lengths; what a cut takes is taken off the part behind it. */
function partViews(made: MadeCall, partCount: number): SwitchView[] {
  const { random } = made;
  const { inviteMs, answerMs = 0, connectedMs = 0 } = switchView(made.clock, random);
  const spareMs = Math.max(0, connectedMs - partCount * LEAST_PART_MS);
  const shares = Array.from({ length: partCount }, () => random.next() + 0.05);
  const sum = shares.reduce((total, share) => total + share, 0);
  let fromMs = answerMs;
  return shares.map((share, index) => {
    const isLast = index === partCount - 1;
    const untilMs = isLast ? answerMs + connectedMs : fromMs + LEAST_PART_MS + Math.round((spareMs * share) / sum);
    const beginMs = index === 0 ? fromMs : fromMs + random.int(0, random.chance(0.9) ? 20 : CUT_MS);
    fromMs = untilMs;
    const view = { answerMs: beginMs, endMs: untilMs, connectedMs: untilMs - beginMs, answered: true };
    return index === 0 && inviteMs !== undefined ? { ...view, inviteMs } : view;
  });
}
