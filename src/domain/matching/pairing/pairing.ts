import type { MatchedBy } from "../../../gen/tandem/type/v1/discrepancy_pb.js";
import type { CarrierUnit, PlatformUnit } from "../call-unit.ts";
import { UnionFind } from "./union-find.ts";

/** Which units go together, by position; filled step by step. */
export interface Pairing {
  readonly platform: readonly PlatformUnit[];
  /** Units that pair by a second offset are replaced. */
  readonly carrier: CarrierUnit[];
  /** The mate of each unit; -1: none. */
  readonly carrierOf: Int32Array;
  readonly platformOf: Int32Array;
  /** By platform unit; 0: none. */
  readonly matchedBy: Uint8Array;
  /** By platform unit; 1: the pair had no rival. */
  readonly isAlone: Uint8Array;
  /** Further carrier units of a call, by platform unit. */
  readonly furtherParts: Map<number, number[]>;
  /** Further platform units of a call by the first one, and the first by each of them. */
  readonly platformParts: Map<number, number[]>;
  readonly partOf: Map<number, number>;
  /** By member; 1: it shares a paired record's dialog and is not paired. */
  readonly isSpare: Uint8Array;
  readonly crowd: Set<number>;
  /** What is judged together. Members are the platform's units, then the carrier's. */
  readonly together: UnionFind;
  /** The step that paired a member or found it a copy; UNDECIDED: open. */
  readonly decidedAt: Uint8Array;
  /** Members whose result rests on another's pair, not the other way round. */
  readonly rests: [member: number, on: number][];
  step: number;
}

export const UNDECIDED = 255;

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

export function carrierMember({ platform }: Pairing, carrier: number): number {
  return platform.length + carrier;
}

/** Units that go together are judged together. */
export function tie(pairing: Pairing, { platform, carrier }: Candidate): void {
  pairing.together.join(platform, carrierMember(pairing, carrier));
}

export function addToCrowd({ crowd, decidedAt, step }: Pairing, member: number): void {
  if (!crowd.has(member)) decidedAt[member] = step;
  crowd.add(member);
}

export function isOpenPlatform({ carrierOf, isSpare, crowd }: Pairing, platform: number): boolean {
  return carrierOf[platform] === -1 && isSpare[platform] === 0 && !crowd.has(platform);
}

export function isOpenCarrier({ platform, platformOf, isSpare, crowd }: Pairing, carrier: number): boolean {
  const member = platform.length + carrier;
  return platformOf[carrier] === -1 && isSpare[member] === 0 && !crowd.has(member);
}
