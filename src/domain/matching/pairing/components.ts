import { MatchedBy } from "../../../gen/tandem/type/v1/discrepancy_pb.js";
import type { MatchingAgreement } from "../facts.ts";
import { assignPairs, type Edge } from "./assignment.ts";
import { markCopies } from "./duplicates.ts";
import { areOtherCalls, type Fit, fitOf, GRADES, Grade } from "./pair-grade.ts";
import {
  addToCrowd,
  type Candidate,
  carrierMember,
  isOpenCarrier,
  isOpenPlatform,
  joinPair,
  type Pairing,
  tie,
} from "./pairing.ts";
import { UnionFind } from "./union-find.ts";

/**
 * Most records that are assigned. Larger groups are AMBIGUOUS, since pairing them would be
 * guessing.
 */
export const MAX_COMPONENT = 200;

interface Graded extends Candidate {
  readonly fit: Fit & { readonly grade: Grade };
}

/**
 * Possible pairs by one kind of evidence, made grade by grade. In a grade tied units are assigned
 * one to one, at most 200 together; worse grades get the rest.
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

  /** Adds a candidate, unless its figures or Call-IDs rule it out without an id. */
  add(candidate: Candidate): void {
    const fit = this.#fitOf(candidate);
    if (fit === undefined) return;
    this.#components ??= new UnionFind(this.#pairing.platform.length + this.#pairing.carrier.length);
    this.#components.join(candidate.platform, carrierMember(this.#pairing, candidate.carrier));
    this.#candidates.push({ ...candidate, fit });
  }

  /** Most pairs have no rivals. */
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

  // A record that begins elsewhere may copy one that has its pair.
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

// An open record that could go with one of a crowd joins the crowd.
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

interface Component {
  readonly candidates: Graded[];
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

// A dialog is one call: what is left of it is a copy and pairs with nothing, except the failed leg
// of a re-routed call.
function markSpare(pairing: Pairing, contested: readonly Graded[]): void {
  const { carrierOf, platformOf, isSpare } = pairing;
  for (const { platform, carrier } of contested) {
    if (pairing.platform[platform]?.answered !== pairing.carrier[carrier]?.answered) continue;
    if (carrierOf[platform] === -1) isSpare[platform] = 1;
    if (platformOf[carrier] === -1) isSpare[carrierMember(pairing, carrier)] = 1;
  }
}

function markCrowd(pairing: Pairing, candidates: readonly Candidate[]): void {
  for (const { platform, carrier } of candidates) {
    if (pairing.carrierOf[platform] === -1) addToCrowd(pairing, platform);
    if (pairing.platformOf[carrier] === -1) addToCrowd(pairing, carrierMember(pairing, carrier));
  }
}

// The later pair rests on the earlier: the record could have taken its place.
function noteRests(pairing: Pairing, contested: readonly Graded[]): void {
  const { decidedAt, rests } = pairing;
  for (const { platform, carrier } of contested) {
    const member = carrierMember(pairing, carrier);
    const [mine = 0, others = 0] = [decidedAt[platform], decidedAt[member]];
    if (mine > others) rests.push([platform, member]);
    else if (others > mine) rests.push([member, platform]);
  }
}

function positionsOf(units: readonly number[]): Map<number, number> {
  const sorted = [...new Set(units)].sort((a, b) => a - b);
  return new Map(sorted.map((unit, position) => [unit, position]));
}

/** Group sizes by representative. */
function sizesOf(components: UnionFind, { platform, carrier }: Pairing): Uint32Array {
  const sizes = new Uint32Array(platform.length + carrier.length);
  for (let member = 0; member < sizes.length; member++) {
    const root = components.find(member);
    sizes[root] = (sizes[root] ?? 0) + 1;
  }
  return sizes;
}
