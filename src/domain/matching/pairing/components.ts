import { MatchedBy } from "../../../gen/tandem/type/v1/discrepancy_pb.js";
import type { MatchingAgreement } from "../facts.ts";
import { assignPairs, type Edge } from "./assignment.ts";
import { areOtherCalls, type Fit, fitOf, GRADES, Grade } from "./pair-grade.ts";
import { type Candidate, carrierMember, isOpenCarrier, isOpenPlatform, joinPair, type Pairing } from "./pairing.ts";
import { markCopies } from "./spare-copies.ts";
import { UnionFind } from "./union-find.ts";

/**
 * Most records that are assigned to each other exactly. Beyond it they are AMBIGUOUS: nothing is
 * paired by guessing.
 */
export const MAX_COMPONENT = 200;

/** A pair that could be, and how well it fits. */
interface Graded extends Candidate {
  readonly fit: Fit & { readonly grade: Grade };
}

/**
 * Pairs that could be, of one kind of evidence. They are made grade by grade: within a grade the
 * units that are tied together are assigned one to one, at most 200 at a time; what fits worse is
 * asked only of those that are left.
 */
export class CandidateSet {
  readonly #pairing: Pairing;
  readonly #by: MatchedBy;
  readonly #agreement: MatchingAgreement;
  readonly #candidates: Graded[] = [];
  #components: UnionFind | undefined;

  constructor(pairing: Pairing, by: MatchedBy, agreement: MatchingAgreement) {
    this.#pairing = pairing;
    this.#by = by;
    this.#agreement = agreement;
  }

  /**
   * Adds a candidate, unless its figures or its Call-IDs say that nothing but an id could make it a
   * pair.
   */
  add(candidate: Candidate): void {
    const fit = this.#fitOf(candidate);
    if (fit === undefined) return;
    this.#components ??= new UnionFind(this.#pairing.platform.length + this.#pairing.carrier.length);
    this.#components.join(candidate.platform, carrierMember(this.#pairing, candidate.carrier));
    this.#candidates.push({ ...candidate, fit });
  }

  /** Pairs them one to one. Pairs without rivals are by far the most. */
  assign(): void {
    const components = this.#components;
    if (components === undefined) return;
    const pairing = this.#pairing;
    const sizes = sizesOf(components, pairing);
    const sizeOf = ({ platform }: Candidate) => sizes[components.find(platform)] ?? 0;
    pairing.step++;
    const contested: Graded[] = [];
    for (const candidate of this.#candidates) {
      const isLone = sizeOf(candidate) === 2;
      if (isLone && this.#isCertain(candidate)) this.#joinLone(candidate);
      else if (this.#isNumbers || sizeOf(candidate) <= MAX_COMPONENT) contested.push(candidate);
    }
    if (contested.length === 0) return;
    this.#assignByGrade(contested);
    for (const candidate of contested) {
      if (sizeOf(candidate) === 2 && pairing.carrierOf[candidate.platform] === candidate.carrier) {
        pairing.isAlone[candidate.platform] = 1;
      }
    }
    if (this.#by === MatchedBy.INTERCONNECT_DIALOG) markSpare(pairing, contested);
    if (this.#isNumbers) noteRests(pairing, contested);
  }

  // What begins elsewhere may be the copy of a record that has its pair.
  #isCertain({ fit }: Graded): boolean {
    return !this.#isNumbers || fit.grade <= Grade.TIME;
  }

  #joinLone(candidate: Candidate): void {
    tie(this.#pairing, candidate);
    joinPair(this.#pairing, candidate, this.#by);
    this.#pairing.isAlone[candidate.platform] = 1;
  }

  #assignByGrade(contested: readonly Graded[]): void {
    const pairing = this.#pairing;
    if (!this.#isNumbers) for (const candidate of contested) tie(pairing, candidate);
    let left = contested;
    for (const grade of GRADES) {
      left = left.filter(
        ({ platform, carrier }) => isOpenPlatform(pairing, platform) && isOpenCarrier(pairing, carrier),
      );
      if (left.length === 0) return;
      this.#assignGrade(
        left.filter(({ fit }) => fit.grade === grade),
        left,
      );
    }
  }

  get #isNumbers(): boolean {
    return this.#by === MatchedBy.NUMBERS_AND_TIME;
  }

  #fitOf({ platform, carrier }: Candidate): Graded["fit"] | undefined {
    const mine = this.#pairing.platform[platform];
    const others = this.#pairing.carrier[carrier];
    if (mine === undefined || others === undefined) return undefined;
    if (this.#isNumbers && areOtherCalls(mine, others)) return undefined;
    const fit = fitOf(mine, others, this.#agreement);
    const grade = fit.grade ?? (this.#isNumbers ? undefined : Grade.WINDOW);
    return grade === undefined ? undefined : { ...fit, grade };
  }

  #assignGrade(candidates: readonly Graded[], left: readonly Graded[]): void {
    const pairing = this.#pairing;
    pairing.step++;
    let hasCrowd = false;
    for (const component of componentsOf(candidates, pairing)) {
      if (this.#isNumbers) for (const candidate of component.candidates) tie(pairing, candidate);
      if (component.size <= MAX_COMPONENT) {
        assignComponent(pairing, component.candidates, this.#by);
      } else if (this.#isNumbers) {
        markCrowd(pairing, component.candidates);
        hasCrowd = true;
      }
    }
    if (hasCrowd) joinCrowd(pairing, left);
    if (this.#isNumbers) markCopies(pairing, left);
  }
}

// What is open and could go with one of a crowd is of it: nothing is paired by guessing.
function joinCrowd(pairing: Pairing, left: readonly Graded[]): void {
  const { crowd } = pairing;
  const added = left.filter(({ platform, carrier }) => {
    const member = carrierMember(pairing, carrier);
    return crowd.has(member)
      ? isOpenPlatform(pairing, platform)
      : crowd.has(platform) && isOpenCarrier(pairing, carrier);
  });
  for (const candidate of added) tie(pairing, candidate);
  markCrowd(pairing, added);
}

function tie(pairing: Pairing, { platform, carrier }: Candidate): void {
  pairing.together.join(platform, carrierMember(pairing, carrier));
}

interface Component {
  readonly candidates: Graded[];
  /** Of how many members. */
  readonly size: number;
}

function componentsOf(candidates: readonly Graded[], pairing: Pairing): Component[] {
  if (candidates.length === 0) return [];
  const components = new UnionFind(pairing.platform.length + pairing.carrier.length);
  for (const { platform, carrier } of candidates) components.join(platform, carrierMember(pairing, carrier));
  const sizes = sizesOf(components, pairing);
  const groups = Map.groupBy(candidates, ({ platform }) => components.find(platform));
  return [...groups].map(([root, group]) => ({ candidates: group, size: sizes[root] ?? 0 }));
}

function assignComponent(pairing: Pairing, component: readonly Graded[], by: MatchedBy): void {
  const rows = positionsOf(component.map((candidate) => candidate.platform));
  const columns = positionsOf(component.map((candidate) => candidate.carrier));
  const edges = component.flatMap(({ platform, carrier, fit }): Edge[] => {
    const row = rows.get(platform);
    const column = columns.get(carrier);
    if (row === undefined || column === undefined) return [];
    return [{ row, column, timeMs: fit.timeMs, durationMs: fit.durationMs, isExact: fit.isExact }];
  });
  const columnOf = assignPairs(rows.size, columns.size, edges);
  const carriers = [...columns.keys()];
  for (const [platform, row] of rows) {
    const carrier = carriers[columnOf[row] ?? -1];
    if (carrier !== undefined) joinPair(pairing, { platform, carrier }, by);
  }
}

// A dialog is one call: what is left over of it is a copy, and goes with no other call that is
// near. The failed leg of a re-routed call is no copy.
function markSpare(pairing: Pairing, contested: readonly Graded[]): void {
  const { carrierOf, platformOf, isSpare } = pairing;
  for (const { platform, carrier } of contested) {
    if (pairing.platform[platform]?.answered !== pairing.carrier[carrier]?.answered) continue;
    if (carrierOf[platform] === -1) isSpare[platform] = 1;
    if (platformOf[carrier] === -1) isSpare[carrierMember(pairing, carrier)] = 1;
  }
}

function markCrowd(pairing: Pairing, candidates: readonly Candidate[]): void {
  const { crowd, decidedAt, step } = pairing;
  const mark = (member: number) => {
    if (!crowd.has(member)) decidedAt[member] = step;
    crowd.add(member);
  };
  for (const { platform, carrier } of candidates) {
    if (pairing.carrierOf[platform] === -1) mark(platform);
    if (pairing.platformOf[carrier] === -1) mark(carrierMember(pairing, carrier));
  }
}

// Had the one that was decided first been open, the other could have gone with it.
function noteRests(pairing: Pairing, contested: readonly Graded[]): void {
  const { decidedAt, rests } = pairing;
  for (const { platform, carrier } of contested) {
    const member = carrierMember(pairing, carrier);
    const [mine = 0, others = 0] = [decidedAt[platform], decidedAt[member]];
    if (mine > others) rests.push([platform, member]);
    else if (others > mine) rests.push([member, platform]);
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
