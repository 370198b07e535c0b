import { assignPairs, type Edge } from "./assignment.ts";
import { type CarrierUnit, lengthOf, type PlatformUnit, startDelta } from "./call-unit.ts";
import { type Candidate, carrierMember, joinPair, type Pairing } from "./pairing.ts";
import { MatchedBy } from "./result.ts";
import { UnionFind } from "./union-find.ts";

/** Most records that are assigned to each other exactly. Beyond it they are AMBIGUOUS: nothing is paired by guessing. */
export const MAX_COMPONENT = 200;

/** Pairs that could be, of one kind of evidence, and which units they tie together. */
export class CandidateSet {
  readonly #pairing: Pairing;
  readonly #by: MatchedBy;
  readonly #candidates: Candidate[] = [];
  #components: UnionFind | undefined;
  #platform = -1;
  #count = 0;

  constructor(pairing: Pairing, by: MatchedBy) {
    this.#pairing = pairing;
    this.#by = by;
  }

  /** Adds a candidate; those of one unit of the platform's come one after the other. Beyond the limit only the tie is kept. */
  add(candidate: Candidate): void {
    const member = carrierMember(this.#pairing, candidate.carrier);
    this.#components ??= new UnionFind(this.#pairing.platform.length + this.#pairing.carrier.length);
    this.#components.join(candidate.platform, member);
    this.#pairing.together.join(candidate.platform, member);
    this.#count = candidate.platform === this.#platform ? this.#count + 1 : 1;
    this.#platform = candidate.platform;
    if (this.#count <= MAX_COMPONENT) this.#candidates.push(candidate);
  }

  /** Pairs them one to one, each group of units that are tied together by itself. Pairs without rivals are by far the most. */
  assign(): void {
    const components = this.#components;
    if (components === undefined) return;
    const pairing = this.#pairing;
    const sizes = sizesOf(components, pairing);
    const contested = new Map<number, Candidate[]>();
    for (const candidate of this.#candidates) {
      const root = components.find(candidate.platform);
      const size = sizes[root] ?? 0;
      if (size === 2) {
        joinPair(pairing, candidate, this.#by);
        pairing.isAlone[candidate.platform] = 1;
      } else if (size <= MAX_COMPONENT) {
        const others = contested.get(root);
        if (others === undefined) contested.set(root, [candidate]);
        else others.push(candidate);
      }
    }
    // An id that so many share tells nothing apart; what else they have may.
    if (this.#by === MatchedBy.NUMBERS_AND_TIME) markCrowds(pairing, components, sizes);
    for (const component of contested.values()) {
      assignComponent(pairing, component, this.#by);
      if (this.#by === MatchedBy.DIALOG) markSpare(pairing, component);
    }
  }
}

/** How far apart a pair is: by like times, and by the durations as far as both are known. */
export function differencesOf(platform: PlatformUnit, carrier: CarrierUnit): { timeMs: number; durationMs: number } {
  const mine = lengthOf(platform);
  const others = lengthOf(carrier);
  return {
    timeMs: Math.abs(startDelta(platform, carrier) ?? 0),
    durationMs: mine === undefined || others === undefined ? 0 : Math.abs(others - mine),
  };
}

function assignComponent(pairing: Pairing, component: readonly Candidate[], by: MatchedBy): void {
  const rows = positionsOf(component.map((candidate) => candidate.platform));
  const columns = positionsOf(component.map((candidate) => candidate.carrier));
  const edges = component.flatMap((candidate): Edge[] => {
    const platform = pairing.platform[candidate.platform];
    const carrier = pairing.carrier[candidate.carrier];
    const row = rows.get(candidate.platform);
    const column = columns.get(candidate.carrier);
    if (platform === undefined || carrier === undefined || row === undefined || column === undefined) return [];
    return [{ row, column, ...differencesOf(platform, carrier) }];
  });
  const columnOf = assignPairs(rows.size, columns.size, edges);
  const carriers = [...columns.keys()];
  for (const [platform, row] of rows) {
    const carrier = carriers[columnOf[row] ?? -1];
    if (carrier !== undefined) joinPair(pairing, { platform, carrier }, by);
  }
}

// A dialog is one call: what is left over of it is a copy, and goes with no other call that is near.
function markSpare(pairing: Pairing, component: readonly Candidate[]): void {
  const { carrierOf, platformOf, isSpare } = pairing;
  for (const { platform, carrier } of component) {
    if (carrierOf[platform] === -1) isSpare[platform] = 1;
    if (platformOf[carrier] === -1) isSpare[carrierMember(pairing, carrier)] = 1;
  }
}

/** Each unit's place among those of the component, in the order of start and id. */
function positionsOf(units: readonly number[]): Map<number, number> {
  const sorted = [...new Set(units)].sort((a, b) => a - b);
  return new Map(sorted.map((unit, position) => [unit, position]));
}

/** How many members belong together, by the one that stands for them. */
function sizesOf(components: UnionFind, { platform, carrier }: Pairing): Uint32Array {
  const sizes = new Uint32Array(platform.length + carrier.length);
  for (let member = 0; member < sizes.length; member++) {
    const root = components.find(member);
    sizes[root] = (sizes[root] ?? 0) + 1;
  }
  return sizes;
}

function markCrowds({ crowd }: Pairing, components: UnionFind, sizes: Uint32Array): void {
  for (let member = 0; member < sizes.length; member++) {
    const size = sizes[components.find(member)] ?? 0;
    if (size > MAX_COMPONENT) crowd.add(member);
  }
}
