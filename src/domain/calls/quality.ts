import { QualityReason, QualityVerdict } from "../../gen/tandem/type/v1/stream_quality_pb.js";
import { type Hearing, hearingOf, lossOf, type PacketCounts } from "./packet-counts.ts";

/** Shorter calls cannot be judged. Milliseconds. */
export const SHORTEST_JUDGED_MS = 3_000;

/** The measures that decide, as in tandem.type.v1.StreamQuality; absent: not measured. */
export interface StreamMeasures {
  mosDegradation?: number | undefined;
  mosLq?: number | undefined;
  mosCq?: number | undefined;
  rFactor?: number | undefined;
  roundTripAvgMs?: number | undefined;
  lossRatioAvg?: number | undefined;
  discardRatio?: number | undefined;
  jitterAvgMs?: number | undefined;
  concealedRatio?: number | undefined;
}

/** Reasons are in the order of the rule; GOOD has none. */
export interface QualityJudgement {
  verdict: QualityVerdict;
  reasons: QualityReason[];
}

export interface CallQuality extends QualityJudgement {
  classifiedStreams: number;
  poorStreams: number;
}

/** An unknown length is not too short; an unanswered call is. */
export function isTooShort(answered: boolean, connectedDurationMs: number | undefined): boolean {
  if (!answered) return true;
  return connectedDurationMs !== undefined && connectedDurationMs < SHORTEST_JUDGED_MS;
}

/** Judges each stream, and all of them by what was heard of both sides. */
export function judgeStreams(
  streams: readonly (StreamMeasures & PacketCounts)[],
  tooShort: boolean,
  connectedMs: number | undefined,
): QualityJudgement[] {
  const hearings = hearingOf(streams, connectedMs);
  return streams.map((stream, index) => {
    const lossRatioAvg = lossOf(stream, stream.lossRatioAvg);
    const measures = lossRatioAvg === stream.lossRatioAvg ? stream : { ...stream, lossRatioAvg };
    return judgeStream(measures, tooShort, hearings[index]);
  });
}

/**
 * Judges a stream by the rule in StreamQuality. A call that is too short is UNCLASSIFIED: so few
 * packets say nothing.
 */
export function judgeStream(measures: StreamMeasures, tooShort: boolean, hearing?: Hearing): QualityJudgement {
  const passed = RULE.map((rule) => rule.passed(measures));
  const unheard = unheardReasons(hearing);
  const unclassified: QualityReason[] = [];
  if (tooShort) unclassified.push(QualityReason.TOO_SHORT);
  if (unheard.length === 0 && passed.every((is) => is === undefined)) unclassified.push(QualityReason.NOT_MEASURED);
  if (unclassified.length > 0) return { verdict: QualityVerdict.UNCLASSIFIED, reasons: unclassified };
  const reasons = [...RULE.filter((_, index) => passed[index] === true).map(({ reason }) => reason), ...unheard];
  return { verdict: reasons.length > 0 ? QualityVerdict.POOR : QualityVerdict.GOOD, reasons };
}

/**
 * POOR if any stream is, else GOOD if any is, else UNCLASSIFIED, with the reasons of the streams
 * that decided.
 */
export function judgeCall(streams: readonly QualityJudgement[], tooShort: boolean): CallQuality {
  const count = (verdict: QualityVerdict) => streams.filter((stream) => stream.verdict === verdict).length;
  const poorStreams = count(QualityVerdict.POOR);
  const classifiedStreams = poorStreams + count(QualityVerdict.GOOD);
  if (streams.length === 0) return { ...judgeStream({}, tooShort), classifiedStreams, poorStreams };
  const verdict = callVerdict(poorStreams, classifiedStreams);
  const deciding = streams.filter((stream) => stream.verdict === verdict).flatMap((stream) => stream.reasons);
  return {
    verdict,
    reasons: [...new Set(deciding)].sort((left, right) => left - right),
    classifiedStreams,
    poorStreams,
  };
}

// Thresholds that large calling platforms publish; StreamQuality states them. `passed` is undefined
// where nothing was measured.
const RULE: readonly { reason: QualityReason; passed: (measures: StreamMeasures) => boolean | undefined }[] = [
  { reason: QualityReason.MOS_DEGRADATION, passed: soundsPoor },
  { reason: QualityReason.ROUND_TRIP, passed: ({ roundTripAvgMs }) => above(roundTripAvgMs, 500) },
  {
    reason: QualityReason.PACKET_LOSS,
    passed: ({ lossRatioAvg, discardRatio }) => either(above(lossRatioAvg, 0.1), above(discardRatio, 0.1)),
  },
  { reason: QualityReason.JITTER, passed: ({ jitterAvgMs }) => above(jitterAvgMs, 30) },
  { reason: QualityReason.CONCEALMENT, passed: ({ concealedRatio }) => above(concealedRatio, 0.07) },
];

/**
 * ITU-T G.109: below this R factor, or the equal score by G.107, nearly all users are dissatisfied.
 */
const [POOR_R_FACTOR, POOR_SCORE] = [60, 3.1];

function soundsPoor({ mosDegradation, mosLq, mosCq, rFactor }: StreamMeasures): boolean | undefined {
  const score = mosLq ?? mosCq;
  if (mosDegradation !== undefined) return mosDegradation > 1;
  if (score !== undefined) return score < POOR_SCORE;
  return rFactor === undefined ? undefined : rFactor < POOR_R_FACTOR;
}

function above(value: number | undefined, limit: number): boolean | undefined {
  return value === undefined ? undefined : value > limit;
}

function either(left: boolean | undefined, right: boolean | undefined): boolean | undefined {
  return left === undefined ? right : left || right === true;
}

function unheardReasons(hearing: Hearing | undefined): QualityReason[] {
  return [...(hearing?.silent ? [QualityReason.SILENT] : []), ...(hearing?.oneWay ? [QualityReason.ONE_WAY] : [])];
}

function callVerdict(poorStreams: number, classifiedStreams: number): QualityVerdict {
  if (poorStreams > 0) return QualityVerdict.POOR;
  return classifiedStreams > 0 ? QualityVerdict.GOOD : QualityVerdict.UNCLASSIFIED;
}
