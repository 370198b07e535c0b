import { StreamDirection } from "../../gen/tandem/type/v1/stream_quality_pb.js";

/** Packet counts of an edge, as tandem.type.v1.StreamQuality; absent: not counted. */
export interface PacketCounts {
  /** A StreamDirection. */
  direction: number;
  /** A MeasuringEdge. */
  edge: number;
  packetsSent?: bigint | undefined;
  packetsReceived?: bigint | undefined;
  /** Expected minus received; negative when packets came twice. */
  packetsLost?: bigint | undefined;
}

/** Whether a stream was heard, by the packets of the whole call. */
export interface Hearing {
  silent: boolean;
  oneWay: boolean;
}

/** From this multiple of the expected packets on, each counts as sent twice. */
const EACH_CAME_TWICE = 1.5;
/**
 * A far end with a smaller part of its packets is not heard. Silence suppression seldom leaves
 * less.
 */
const HEARD_PART = 3n;

const PERCENT = 100;

/** Undefined: the counts do not tell. */
function countedLoss({ packetsSent, packetsReceived, packetsLost }: PacketCounts): number | undefined {
  const lost = packetsLost ?? difference(packetsSent, packetsReceived);
  if (lost === undefined) return undefined;
  const expected = packetsReceived === undefined ? packetsSent : packetsReceived + lost;
  if (expected === undefined || expected <= 0n) return undefined;
  if (lost >= 0n) return Math.min(1, Number(lost) / Number(expected));
  const received = Number(expected - lost) / Number(expected);
  return received < EACH_CAME_TWICE ? undefined : Math.max(0, 1 - received / 2);
}

/**
 * The share of lost packets: the measured ratio, else the counts. A ratio about a hundred times
 * what the counts give was meant in percent, so the counts are used.
 */
export function lossOf(counts: PacketCounts, ratio: number | undefined): number | undefined {
  const counted = countedLoss(counts);
  if (ratio === undefined || counted === undefined) return ratio ?? counted;
  const isPercent = ratio > counted * (PERCENT / 2) && ratio < counted * (PERCENT * 2);
  return isPercent ? counted : ratio;
}

/**
 * Which streams were not heard. Streams of one direction and edge count together, since
 * renegotiated media continues in another stream.
 * @param connectedMs undefined: unknown.
 */
export function hearingOf(streams: readonly PacketCounts[], connectedMs: number | undefined): Hearing[] {
  if (streams.every(({ packetsReceived }) => packetsReceived === undefined)) return streams.map(() => UNKNOWN);
  const flows = Map.groupBy(streams, flowKey);
  const sum = (key: string, count: (stream: PacketCounts) => bigint | undefined) => sumOf(flows.get(key) ?? [], count);
  const isSilent = (packets: bigint) => packets === 0n || Number(packets) * 1_000 < (connectedMs ?? 0);
  return streams.map((stream) => {
    const heard = sum(flowKey(stream), ({ packetsReceived }) => packetsReceived);
    if (stream.packetsReceived === undefined || heard === undefined) return UNKNOWN;
    const otherWay = sum(flowKey({ ...stream, direction: 3 - stream.direction }), flowed) ?? 0n;
    const silent = isSilent(heard);
    const falls = stream.direction === StreamDirection.FROM_CARRIER && heard * HEARD_PART < otherWay;
    return { silent, oneWay: !isSilent(otherWay) && (silent || falls) };
  });
}

const UNKNOWN: Hearing = { silent: false, oneWay: false };

function flowKey({ direction, edge }: PacketCounts): string {
  return `${direction} ${edge}`;
}

/** What was sent, or else what arrived. */
function flowed({ packetsSent, packetsReceived }: PacketCounts): bigint | undefined {
  return packetsSent ?? packetsReceived;
}

function sumOf(streams: readonly PacketCounts[], count: (stream: PacketCounts) => bigint | undefined) {
  const counted = streams.map(count).filter((packets) => packets !== undefined);
  return counted.length === 0 ? undefined : counted.reduce((sum, packets) => sum + packets, 0n);
}

function difference(left: bigint | undefined, right: bigint | undefined): bigint | undefined {
  return left === undefined || right === undefined ? undefined : left - right;
}
