import type { MatchedBy } from "../../../gen/tandem/type/v1/discrepancy_pb.js";
import type { CarrierUnit, PlatformUnit } from "../call-unit.ts";
import { UnionFind } from "./union-find.ts";

/** Which unit of one side goes with which of the other, by position. Filled step by step. */
export interface Pairing {
  readonly platform: readonly PlatformUnit[];
  /**
   * One whose hour has a second offset is replaced by itself with that taken off, when this is how
   * it found its pair.
   */
  readonly carrier: CarrierUnit[];
  /** Of each of the platform's units the carrier's, and the other way round; -1: none. */
  readonly carrierOf: Int32Array;
  readonly platformOf: Int32Array;
  /** Of each of the platform's units: a MatchedBy, 0 for none. */
  readonly matchedBy: Uint8Array;
  /**
   * Of each of the platform's units: 1 when nothing else could have been paired with either of
   * both.
   */
  readonly isAlone: Uint8Array;
  /**
   * Of a unit of the platform's, further units of the carrier's that belong to the same call; by
   * position.
   */
  readonly furtherParts: Map<number, number[]>;
  /**
   * Of a unit of the platform's, further units of its own side that belong to the same call; and of
   * each of these that unit. By position.
   */
  readonly platformParts: Map<number, number[]>;
  readonly partOf: Map<number, number>;
  /**
   * By member: 1 for what has the dialog of a record that went with another. It is of that call,
   * and is not sought elsewhere.
   */
  readonly isSpare: Uint8Array;
  /** Of which members too many could pair with each other. */
  readonly crowd: Set<number>;
  /**
   * What was judged together, by member: the platform's units by position, then the carrier's
   * behind them.
   */
  readonly together: UnionFind;
  /**
   * By member at which step it found its pair, or was found to be a copy; the highest number while
   * it is open.
   */
  readonly decidedAt: Uint8Array;
  /**
   * Of members whose result rests on another's pair, which does not rest on theirs: first the one,
   * then the other.
   */
  readonly rests: [member: number, on: number][];
  step: number;
}

/** Of `decidedAt`: open. */
export const UNDECIDED = 255;

/** A pair that could be, by position on either side. */
export interface Candidate {
  readonly platform: number;
  readonly carrier: number;
}

/** Nothing is paired yet. */
export function startPairing(platform: readonly PlatformUnit[], carrier: readonly CarrierUnit[]): Pairing {
  return {
    platform,
    carrier: [...carrier],
    carrierOf: new Int32Array(platform.length).fill(-1),
    platformOf: new Int32Array(carrier.length).fill(-1),
    matchedBy: new Uint8Array(platform.length),
    isAlone: new Uint8Array(platform.length),
    furtherParts: new Map(),
    platformParts: new Map(),
    partOf: new Map(),
    isSpare: new Uint8Array(platform.length + carrier.length),
    crowd: new Set(),
    together: new UnionFind(platform.length + carrier.length),
    decidedAt: new Uint8Array(platform.length + carrier.length).fill(UNDECIDED),
    rests: [],
    step: 0,
  };
}

/** Pairs two units. */
export function joinPair(pairing: Pairing, { platform, carrier }: Candidate, by: MatchedBy): void {
  pairing.carrierOf[platform] = carrier;
  pairing.platformOf[carrier] = platform;
  pairing.matchedBy[platform] = by;
  pairing.decidedAt[platform] = pairing.step;
  pairing.decidedAt[carrierMember(pairing, carrier)] = pairing.step;
}

/** The member that a unit of the carrier's is. */
export function carrierMember({ platform }: Pairing, carrier: number): number {
  return platform.length + carrier;
}

/** Whether a unit of the platform's still has to find its pair. */
export function isOpenPlatform({ carrierOf, isSpare, crowd }: Pairing, platform: number): boolean {
  return carrierOf[platform] === -1 && isSpare[platform] === 0 && !crowd.has(platform);
}

/** Whether a unit of the carrier's still has to find its pair. */
export function isOpenCarrier({ platform, platformOf, isSpare, crowd }: Pairing, carrier: number): boolean {
  const member = platform.length + carrier;
  return platformOf[carrier] === -1 && isSpare[member] === 0 && !crowd.has(member);
}
