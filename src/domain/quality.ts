/** Whether quality was good enough; the numbers of tandem.type.v1.QualityVerdict. */
export const QualityVerdict = { GOOD: 1, POOR: 2, UNCLASSIFIED: 3 } as const;
export type QualityVerdict = (typeof QualityVerdict)[keyof typeof QualityVerdict];

/** Why; the numbers of tandem.type.v1.QualityReason, which are also the order of the rule. */
export const QualityReason = {
  MOS_DEGRADATION: 1,
  ROUND_TRIP: 2,
  PACKET_LOSS: 3,
  JITTER: 4,
  CONCEALMENT: 5,
  TOO_SHORT: 6,
  NOT_MEASURED: 7,
} as const;
export type QualityReason = (typeof QualityReason)[keyof typeof QualityReason];

/** A call that was connected for less than this cannot be judged. Milliseconds. */
export const SHORTEST_JUDGED_MS = 3_000;

/** The five measures of a stream that decide, as tandem.type.v1.StreamQuality has them. What was not measured is absent. */
export interface StreamMeasures {
  mosDegradation?: number | undefined;
  roundTripAvgMs?: number | undefined;
  lossRatioAvg?: number | undefined;
  jitterAvgMs?: number | undefined;
  concealedRatio?: number | undefined;
}

/** A verdict with its reasons, each once, in the order of the rule; a GOOD one has none. */
export interface QualityJudgement {
  verdict: QualityVerdict;
  reasons: QualityReason[];
}

/** A judgement over all streams of a call. */
export interface CallQuality extends QualityJudgement {
  /** Streams that are GOOD or POOR. */
  classifiedStreams: number;
  poorStreams: number;
}

/** Whether a call was connected for too short a time; one whose length is not known yet was not, one that was never answered was. */
export function isTooShort(answered: boolean, connectedDurationMs: number | undefined): boolean {
  if (!answered) return true;
  return connectedDurationMs !== undefined && connectedDurationMs < SHORTEST_JUDGED_MS;
}

/**
 * Judges one stream by the rule that StreamQuality states. A call too short to be judged is UNCLASSIFIED whatever was measured: the figures of so
 * few packets say nothing.
 */
export function judgeStream(measures: StreamMeasures, tooShort: boolean): QualityJudgement {
  const unclassified: QualityReason[] = [];
  if (tooShort) unclassified.push(QualityReason.TOO_SHORT);
  if (RULE.every(({ measure }) => measures[measure] === undefined)) unclassified.push(QualityReason.NOT_MEASURED);
  if (unclassified.length > 0) return { verdict: QualityVerdict.UNCLASSIFIED, reasons: unclassified };
  const reasons = RULE.filter(({ measure, above }) => (measures[measure] ?? 0) > above).map(({ reason }) => reason);
  return { verdict: reasons.length > 0 ? QualityVerdict.POOR : QualityVerdict.GOOD, reasons };
}

/** Judges a call by its streams: POOR if any is, else GOOD if any is, else UNCLASSIFIED; the reasons are those of the streams that decided. */
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

// The thresholds are those that large calling platforms publish for their stream classification; StreamQuality states them.
const RULE: readonly { measure: keyof StreamMeasures; above: number; reason: QualityReason }[] = [
  { measure: "mosDegradation", above: 1, reason: QualityReason.MOS_DEGRADATION },
  { measure: "roundTripAvgMs", above: 500, reason: QualityReason.ROUND_TRIP },
  { measure: "lossRatioAvg", above: 0.1, reason: QualityReason.PACKET_LOSS },
  { measure: "jitterAvgMs", above: 30, reason: QualityReason.JITTER },
  { measure: "concealedRatio", above: 0.07, reason: QualityReason.CONCEALMENT },
];

function callVerdict(poorStreams: number, classifiedStreams: number): QualityVerdict {
  if (poorStreams > 0) return QualityVerdict.POOR;
  return classifiedStreams > 0 ? QualityVerdict.GOOD : QualityVerdict.UNCLASSIFIED;
}
