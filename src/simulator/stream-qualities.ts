import { create } from "@bufbuild/protobuf";
import {
  MeasuringEdge,
  StreamDirection,
  type StreamQuality,
  StreamQualitySchema,
} from "../gen/tandem/type/v1/stream_quality_pb.js";
import type { Random } from "./random.ts";

const PACKETS_PER_SECOND = 50;
/** How often a stream is poor, and of what. */
const AILMENTS = { none: 93, loss: 2, jitter: 2, roundTrip: 1, concealment: 1, degradation: 1 } as const;

/** How both directions of a call of this length sounded; at times nothing was measured. */
export function simulateStreamQualities(random: Random, codec: string, connectedDurationMs: number): StreamQuality[] {
  if (connectedDurationMs < 500 || random.chance(0.03)) return [];
  const edge = random.chance(0.85) ? MeasuringEdge.PLATFORM : MeasuringEdge.SBC;
  return [StreamDirection.TO_CARRIER, StreamDirection.FROM_CARRIER].map((direction) => {
    const ailment = random.weighted(AILMENTS);
    const lossRatioAvg = ailment === "loss" ? between(random, 0.11, 0.3) : between(random, 0, 0.02);
    const jitterAvgMs = ailment === "jitter" ? between(random, 32, 90) : between(random, 1, 15);
    const roundTripAvgMs = ailment === "roundTrip" ? between(random, 520, 900) : between(random, 20, 180);
    const concealedRatio = ailment === "concealment" ? between(random, 0.08, 0.25) : between(random, 0, 0.03);
    const mosDegradation = ailment === "degradation" ? between(random, 1.1, 2.2) : between(random, 0, 0.6);
    const packetsSent = Math.round((connectedDurationMs / 1000) * PACKETS_PER_SECOND);
    const packetsLost = Math.round(packetsSent * lossRatioAvg);
    return create(StreamQualitySchema, {
      direction,
      edge,
      packetsSent: BigInt(packetsSent),
      packetsReceived: BigInt(packetsSent - packetsLost),
      packetsLost: BigInt(packetsLost),
      lossRatioAvg,
      lossRatioMax: Math.min(1, lossRatioAvg * between(random, 1, 3)),
      jitterAvgMs,
      jitterMaxMs: jitterAvgMs * between(random, 1, 4),
      roundTripAvgMs,
      roundTripMaxMs: roundTripAvgMs * between(random, 1, 2),
      concealedRatio,
      mosDegradation,
      mosLq: round(4.4 - mosDegradation, 2),
      mosCq: round(4.3 - mosDegradation, 2),
      mosAlgorithm: "G.107",
      codec,
    });
  });
}

function between(random: Random, min: number, max: number): number {
  return round(min + random.next() * (max - min), 4);
}

function round(value: number, decimals: number): number {
  return Number(value.toFixed(decimals));
}
