import { StreamDirection } from "../../gen/tandem/type/v1/stream_quality_pb.js";

/**
 * What an edge counted of a stream, as tandem.type.v1.StreamQuality has it. What was not counted is
 * absent.
 */
export interface PacketCounts {
  /** A StreamDirection. */
  direction: number;
  /** A MeasuringEdge. */
  edge: number;
  packetsSent?: bigint | undefined;
  packetsReceived?: bigint | undefined;
  /** Expected less received; negative when packets came twice. */
  packetsLost?: bigint | undefined;
}

/** Whether a stream was heard, as far as the packets of the whole call tell. */
export interface Hearing {
  silent: boolean;
  oneWay: boolean;
}

/** Where so many times the expected packets came, each is taken to have come twice. */
const EACH_CAME_TWICE = 1.5;
/**
 * A far end of which less than this part is heard is as good as not heard. Silence suppression
 * seldom leaves less.
 */
const HEARD_PART = 3n;

const PERCENT = 100;

/** The share of packets that were lost, by the counts; undefined where they do not tell. */
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
 * The share of packets that were lost: the ratio as it was measured, else by the counts. A ratio
 * that is about a hundred times what the counts give was meant in percent, and the counts are
 * taken.
 */
export function lossOf(counts: PacketCounts, ratio: number | undefined): number | undefined {
  const counted = countedLoss(counts);
  if (ratio === undefined || counted === undefined) return ratio ?? counted;
  const isPercent = ratio > counted * (PERCENT / 2) && ratio < counted * (PERCENT * 2);
  return isPercent ? counted : ratio;
}

/**
 * Which streams of a call were not heard. Streams of one direction and edge are taken together, for
 * a call whose media is renegotiated goes on in another.
 * @param connectedMs how long the call was connected; undefined: not known.
 */
export function hearingOf(streams: readonly PacketCounts[], connectedMs: number | undefined): Hearing[] {
  const flows = Map.groupBy(streams, flowKey);
  const sum = (key: string, count: (stream: PacketCounts) => bigint | undefined) => sumOf(flows.get(key) ?? [], count);
  const isSilent = (packets: bigint) => packets === 0n || Number(packets) * 1_000 < (connectedMs ?? 0);
  return streams.map((stream) => {
    const heard = sum(flowKey(stream), ({ packetsReceived }) => packetsReceived);
    if (stream.packetsReceived === undefined || heard === undefined) return { silent: false, oneWay: false };
    const otherWay = sum(flowKey({ ...stream, direction: 3 - stream.direction }), flowed) ?? 0n;
    const silent = isSilent(heard);
    const falls = stream.direction === StreamDirection.FROM_CARRIER && heard * HEARD_PART < otherWay;
    return { silent, oneWay: !isSilent(otherWay) && (silent || falls) };
  });
}

function flowKey({ direction, edge }: PacketCounts): string {
  return `${direction} ${edge}`;
}

/** What flowed of a stream: what was sent, or where nobody counted that, what arrived. */
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
