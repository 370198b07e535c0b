import { MatchedBy } from "../../../gen/tandem/type/v1/discrepancy_pb.js";
import type { CarrierFacts, CommonFacts, PlatformFacts } from "../facts.ts";
import { areSameParties, type CallNumbers, numbersOf } from "../number-keys.ts";
import { dialogTexts, icidTexts, isSameDialog, isSameSession, sessionTexts } from "../signalling-ids.ts";
import { HIDDEN, keyOf } from "./number-index.ts";
import { NEAR_MS } from "./pair-grade.ts";
import { WINDOW_MS } from "./time-window.ts";

// Most calls are two records that agree and that no third one has a say in. They are found here by
// keys and times, so that the matcher needs to see only the rest. It would say the same of them.

/** A record of each side that belong together, and no third record near them shares a key. */
export interface LonePair {
  readonly platform: PlatformFacts;
  readonly carrier: CarrierFacts;
  readonly by: MatchedBy;
  /** Of like times, carrier minus platform as reported: at most 2 s either way. */
  readonly deltaMs: number;
}

/** Records in pairs, and those that are left to the matcher. */
export interface Parted {
  readonly pairs: readonly LonePair[];
  readonly platform: readonly PlatformFacts[];
  readonly carrier: readonly CarrierFacts[];
}

/** No rule of the matcher joins records by numbers that are further apart, besides a resolution. */
const REACH_MS = 130_000;
/** With more records of like endings nothing is alone. */
const MOST_ALIKE = 256;

/**
 * Parts the records that are alone together from all others.
 * @param offsetsOf how far the clock of a carrier's record may be off: those other than 0.
 */
export function partLonePairs(
  platform: readonly PlatformFacts[],
  carrier: readonly CarrierFacts[],
  offsetsOf: (record: CarrierFacts) => readonly number[] = () => NONE,
): Parted {
  const company = new Company(platform, carrier, offsetsOf);
  if (company.isMixed) return { pairs: [], platform, carrier };
  const pairs: LonePair[] = [];
  const isPaired = new Uint8Array(platform.length + carrier.length);
  for (let index = 0; index < platform.length; index++) {
    const mate = company.mateOf(index);
    if (mate === undefined) continue;
    pairs.push(mate.pair);
    isPaired[index] = 1;
    isPaired[mate.member] = 1;
  }
  return {
    pairs,
    platform: platform.filter((_, index) => isPaired[index] === 0),
    carrier: carrier.filter((_, index) => isPaired[platform.length + index] === 0),
  };
}

const NONE: readonly number[] = [];
const NOBODY = -1;
const MANY = -2;

/** The records that share an id. */
class Sharing {
  count = 0;
  sum = 0;

  add(member: number): void {
    this.count++;
    this.sum += member;
  }

  /** Of a member. */
  isWithin(member: number, mate: number): boolean {
    return this.count === 1 || (this.count === 2 && this.sum === member + mate);
  }
}

/** Who has which keys, and when. Members are the platform's records, then the carrier's. */
class Company {
  /** Whether a hidden part may belong to any call. */
  isMixed = false;
  readonly #platform: readonly PlatformFacts[];
  readonly #carrier: readonly CarrierFacts[];
  readonly #numbers: (CallNumbers | undefined)[] = [];
  /** The members of each key of numbers, as lists. */
  readonly #firstOf = new Map<number, number>();
  readonly #nextOf: number[] = [];
  readonly #members: number[] = [];
  readonly #fromMs: number[] = [];
  readonly #toMs: number[] = [];
  readonly #dialogs = new Map<string, Sharing>();
  readonly #icids = new Map<string, Sharing>();
  readonly #sessions = new Map<string, Sharing>();
  /** By the platform's record id; empty when nobody echoes. */
  readonly #echoes = new Map<string, Sharing>();
  readonly #sharings: (Sharing[] | undefined)[] = [];
  /** Carrier's records whose clock may be off. */
  readonly #isOff: Uint8Array;
  /** Pairs of before an erasure. */
  readonly #joined = new Set<string>();
  #reachMs = REACH_MS;
  #hasHidden = false;

  constructor(
    platform: readonly PlatformFacts[],
    carrier: readonly CarrierFacts[],
    offsetsOf: (record: CarrierFacts) => readonly number[],
  ) {
    this.#platform = platform;
    this.#carrier = carrier;
    this.#isOff = new Uint8Array(carrier.length);
    const isEchoed = carrier.some(({ echoedRecordId, isVoid }) => echoedRecordId !== undefined && !isVoid);
    for (const [member, facts] of platform.entries()) {
      if (facts.isVoid) continue;
      this.#add(member, facts, NONE);
      if (isEchoed) this.#share(member, this.#echoes, facts.recordId);
    }
    for (const [index, facts] of carrier.entries()) {
      if (facts.isVoid) continue;
      const member = platform.length + index;
      const offsets = offsetsOf(facts);
      if (offsets.length > 0) this.#isOff[index] = 1;
      this.#add(member, facts, offsets);
      this.#addCarrier(member, facts);
    }
  }

  /** The mate of a platform's record, if both are alone. */
  mateOf(index: number): { readonly pair: LonePair; readonly member: number } | undefined {
    const platform = this.#platform[index];
    if (platform === undefined || platform.isVoid || platform.isPartial) return undefined;
    const member = this.#onlyNear(index);
    const carrier = this.#carrier[member - this.#platform.length];
    if (carrier === undefined || this.#isOff[member - this.#platform.length] === 1) return undefined;
    if (carrier.part !== undefined || platform.answered !== carrier.answered) return undefined;
    const deltaMs = deltaOf(platform, carrier);
    if (deltaMs === undefined || Math.abs(deltaMs) > NEAR_MS || areStartsApart(platform, carrier)) return undefined;
    if (this.#onlyNear(member) !== index || !this.#sharesWithin(index, member)) return undefined;
    if (carrier.echoedRecordId !== undefined && carrier.echoedRecordId !== platform.recordId) return undefined;
    if (this.#isJoined(platform, carrier)) return undefined;
    const by = joiningOf(platform, carrier);
    return by === undefined ? undefined : { pair: { platform, carrier, by, deltaMs }, member };
  }

  #addCarrier(member: number, { resolutionMs, part, echoedRecordId, joinedTo }: CarrierFacts): void {
    if (resolutionMs - 1 + REACH_MS > this.#reachMs) this.#reachMs = resolutionMs - 1 + REACH_MS;
    if (echoedRecordId !== undefined) this.#share(member, this.#echoes, echoedRecordId);
    if (joinedTo !== undefined) this.#joined.add(`${joinedTo.recordDate}/${joinedTo.recordId}`);
    const numbers = this.#numbers[member];
    const isHidden = numbers === undefined || !showsBoth(numbers);
    if (part !== undefined && part.index > 1 && isHidden) this.isMixed = true;
  }

  #add(member: number, facts: CommonFacts, offsets: readonly number[]): void {
    const numbers = numbersOf(facts);
    this.#numbers[member] = numbers;
    if (!showsBoth(numbers)) this.#hasHidden = true;
    const startMs = facts.inviteMs ?? facts.answerMs;
    if (startMs !== undefined) {
      const answerMs = facts.answerMs ?? startMs;
      const [fromMs, toMs] = startMs < answerMs ? [startMs, answerMs] : [answerMs, startMs];
      this.#addTimes(member, facts.direction, numbers, fromMs, toMs);
      for (const offsetMs of offsets) {
        this.#addTimes(member, facts.direction, numbers, fromMs - offsetMs, toMs - offsetMs);
      }
    }
    this.#shareIds(member, facts);
  }

  #shareIds(member: number, { ids }: CommonFacts): void {
    const { dialogCallId, icid, sessionId } = ids;
    if (dialogCallId !== undefined) {
      const [text] = dialogTexts(ids);
      if (text !== undefined) this.#share(member, this.#dialogs, text);
    }
    if (icid !== undefined) for (const text of icidTexts(ids)) this.#share(member, this.#icids, text);
    if (sessionId !== undefined) for (const text of sessionTexts(ids)) this.#share(member, this.#sessions, text);
  }

  #addTimes(member: number, direction: number, { callers, called }: CallNumbers, fromMs: number, toMs: number): void {
    for (let target = 0; target < Math.max(1, called.length); target++) {
      for (let caller = 0; caller < Math.max(1, callers.length); caller++) {
        const key = keyOf(direction, called[target]?.tail ?? HIDDEN, callers[caller]?.tail ?? HIDDEN);
        const entry = this.#members.length;
        this.#members.push(member);
        this.#fromMs.push(fromMs);
        this.#toMs.push(toMs);
        this.#nextOf.push(this.#firstOf.get(key) ?? NOBODY);
        this.#firstOf.set(key, entry);
      }
    }
  }

  #share(member: number, groups: Map<string, Sharing>, text: string): void {
    let sharing = groups.get(text);
    if (sharing === undefined) {
      sharing = new Sharing();
      groups.set(text, sharing);
    }
    sharing.add(member);
    const known = this.#sharings[member];
    if (known === undefined) this.#sharings[member] = [sharing];
    else known.push(sharing);
  }

  /** The only other record of the same parties near a member; NOBODY or MANY. */
  #onlyNear(member: number): number {
    const numbers = this.#numbers[member];
    const facts = this.#platform[member] ?? this.#carrier[member - this.#platform.length];
    if (numbers === undefined || facts === undefined || !showsBoth(numbers)) return NOBODY;
    const startMs = facts.inviteMs ?? facts.answerMs;
    if (startMs === undefined || facts.direction === 0) return NOBODY;
    const answerMs = facts.answerMs ?? startMs;
    const seeker = {
      member,
      numbers,
      fromMs: Math.min(startMs, answerMs) - this.#reachMs,
      toMs: Math.max(startMs, answerMs) + this.#reachMs,
    };
    let only = NOBODY;
    for (const caller of numbers.callers) {
      for (const target of numbers.called) {
        only = this.#onlyOf(keyOf(facts.direction, target.tail, caller.tail), seeker, only);
        if (!this.#hasHidden || only === MANY) continue;
        only = this.#onlyOf(keyOf(facts.direction, target.tail, HIDDEN), seeker, only);
        only = this.#onlyOf(keyOf(facts.direction, HIDDEN, caller.tail), seeker, only);
      }
    }
    return only;
  }

  #onlyOf(key: number, seeker: Seeker, found: number): number {
    let only = found;
    let count = 0;
    for (let entry = this.#firstOf.get(key) ?? NOBODY; entry !== NOBODY; entry = this.#nextOf[entry] ?? NOBODY) {
      if (only === MANY || ++count > MOST_ALIKE) return MANY;
      const other = this.#members[entry] ?? NOBODY;
      if (other === seeker.member || other === only || !this.#isNear(entry, seeker)) continue;
      only = only === NOBODY ? other : MANY;
    }
    return only;
  }

  #isNear(entry: number, { numbers, fromMs, toMs }: Seeker): boolean {
    if ((this.#toMs[entry] ?? 0) < fromMs || (this.#fromMs[entry] ?? 0) > toMs) return false;
    const others = this.#numbers[this.#members[entry] ?? NOBODY];
    return others !== undefined && areSameParties(numbers, others);
  }

  #sharesWithin(member: number, mate: number): boolean {
    const [mine, others] = [this.#sharings[member], this.#sharings[mate]];
    return (
      (mine === undefined || mine.every((sharing) => sharing.isWithin(member, mate))) &&
      (others === undefined || others.every((sharing) => sharing.isWithin(mate, member)))
    );
  }

  #isJoined({ recordDate, recordId }: PlatformFacts, { joinedTo }: CarrierFacts): boolean {
    return joinedTo !== undefined || (this.#joined.size > 0 && this.#joined.has(`${recordDate}/${recordId}`));
  }
}

interface Seeker {
  readonly member: number;
  readonly numbers: CallNumbers;
  readonly fromMs: number;
  readonly toMs: number;
}

function showsBoth({ callers, called }: CallNumbers): boolean {
  return callers.length > 0 && called.length > 0;
}

// Only of like times.
function deltaOf(platform: PlatformFacts, carrier: CarrierFacts): number | undefined {
  if (platform.answerMs !== undefined && carrier.answerMs !== undefined) return carrier.answerMs - platform.answerMs;
  return platform.inviteMs === undefined || carrier.inviteMs === undefined
    ? undefined
    : carrier.inviteMs - platform.inviteMs;
}

// A side may know only one of both times.
function areStartsApart(platform: PlatformFacts, carrier: CarrierFacts): boolean {
  const [mine, others] = [platform, carrier].map(({ inviteMs, answerMs }) => inviteMs ?? answerMs);
  return mine === undefined || others === undefined || Math.abs(others - mine) > WINDOW_MS;
}

// Undefined: ids contradict.
function joiningOf({ ids: mine }: PlatformFacts, { ids: others }: CarrierFacts): MatchedBy | undefined {
  const [dialog] = dialogTexts(mine);
  const [otherDialog] = dialogTexts(others);
  if (dialog !== undefined && otherDialog !== undefined) {
    return dialog === otherDialog && isSameDialog(mine, others) ? MatchedBy.INTERCONNECT_DIALOG : undefined;
  }
  const [icid] = icidTexts(mine);
  const [otherIcid] = icidTexts(others);
  if (icid !== undefined && otherIcid !== undefined) return icid === otherIcid ? MatchedBy.ICID : undefined;
  if (sessionTexts(mine).length > 0 && sessionTexts(others).length > 0) {
    return isSameSession(mine, others) ? MatchedBy.SESSION_ID : undefined;
  }
  return MatchedBy.NUMBERS_AND_TIME;
}
