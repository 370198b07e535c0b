import type { MatchedBy } from "../../../gen/tandem/type/v1/discrepancy_pb.js";
import type { CarrierUnit, PlatformUnit } from "../call-unit.ts";
import { UnionFind } from "./union-find.ts";

/** Which units go together, by position. Filled step by step. */
export interface Pairing {
  readonly platform: readonly PlatformUnit[];
  /** A unit that found its pair by its hour's second offset is replaced by one with that offset. */
  readonly carrier: CarrierUnit[];
  /** The paired unit of each platform unit (or carrier unit); -1: none. */
  readonly carrierOf: Int32Array;
  readonly platformOf: Int32Array;
  /** A MatchedBy for each platform unit; 0: none. */
  readonly matchedBy: Uint8Array;
  /** For each platform unit: 1 if the pair had no rival. */
  readonly isAlone: Uint8Array;
  /** Further carrier units of the same call, by the platform unit's position. */
  readonly furtherParts: Map<number, number[]>;
  /**
   * Further platform units of the same call by the first one's position, and the first one by each
   * of theirs.
   */
  readonly platformParts: Map<number, number[]>;
  readonly partOf: Map<number, number>;
  /**
   * By member: 1 if it shares the dialog of a paired record. It belongs to that call and is not
   * paired.
   */
  readonly isSpare: Uint8Array;
  /** Members with too many possible pairs. */
  readonly crowd: Set<number>;
  /** What was judged together. Members are the platform's units by position, then the carrier's. */
  readonly together: UnionFind;
  /** The step at which a member was paired or found to be a copy; UNDECIDED while open. */
  readonly decidedAt: Uint8Array;
  /** Members whose result rests on another's pair, but not the other way round. */
  readonly rests: [member: number, on: number][];
  step: number;
}

export const UNDECIDED = 255;

/** A possible pair, by position. */
export interface Candidate {
  readonly platform: number;
  readonly carrier: number;
}

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

export function joinPair(pairing: Pairing, { platform, carrier }: Candidate, by: MatchedBy): void {
  pairing.carrierOf[platform] = carrier;
  pairing.platformOf[carrier] = platform;
  pairing.matchedBy[platform] = by;
  pairing.decidedAt[platform] = pairing.step;
  pairing.decidedAt[carrierMember(pairing, carrier)] = pairing.step;
}

/** The member number of a carrier unit. */
export function carrierMember({ platform }: Pairing, carrier: number): number {
  return platform.length + carrier;
}

export function isOpenPlatform({ carrierOf, isSpare, crowd }: Pairing, platform: number): boolean {
  return carrierOf[platform] === -1 && isSpare[platform] === 0 && !crowd.has(platform);
}

export function isOpenCarrier({ platform, platformOf, isSpare, crowd }: Pairing, carrier: number): boolean {
  const member = platform.length + carrier;
  return platformOf[carrier] === -1 && isSpare[member] === 0 && !crowd.has(member);
}
