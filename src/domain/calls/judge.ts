import { RecordIssue, Verdict } from "../../gen/tandem/type/v1/upload_pb.js";
import { ERASED_HASH } from "../privacy/erasure.ts";
import { addDays } from "../time/instant.ts";
import { mayBeRedated } from "./party-hash.ts";

export interface JudgedRecord {
  readonly recordId: string;
  readonly recordDate: string;
  readonly revision: number;
  readonly isVoid: boolean;
  readonly contentHash: bigint;
  readonly partyHash: bigint;
}

/** A stored revision. */
export interface KnownRevision {
  recordId: string;
  recordDate: string;
  revision: number;
  contentHash: bigint;
  partyHash: bigint;
  quarantined: boolean;
}

/** A verdict, with the reason of a quarantine. */
export interface Judgement {
  verdict: Verdict;
  issue: RecordIssue;
}

/**
 * Judges records in order against what is stored for their ids. Accepted and quarantined records
 * count as known for later ones, so the first of two equal identities wins. Pure.
 */
export class Judge {
  readonly #identities = new Map<string, Identity>();
  readonly #days = new Map<string, readonly string[]>();

  constructor(known: Iterable<KnownRevision>) {
    for (const revision of known) this.#learn(revision, revision.quarantined);
  }

  /**
   * @param isAttributable whether it fits a number that this carrier had at the time of the call.
   */
  judge(record: JudgedRecord, isAttributable: boolean): Judgement {
    const days = this.#identities.get(record.recordId);
    if (days === undefined) return this.#judgeFirst(record, isAttributable);
    const identity = dayOf(days, record.recordDate);
    const same = identity && revisionOf(identity, record.revision);
    if (identity && same) {
      const judgement = this.#judgeAgain(record, same, { highest: identity.highest, isAttributable });
      if (judgement.verdict === Verdict.ACCEPTED) this.#learn(record, false);
      return judgement;
    }
    if (identity && identity.highest > record.revision) return SUPERSEDED;
    if (record.revision === 1 && !record.isVoid && this.#hasNeighbour(record))
      return this.#quarantine(record, POSSIBLY_REDATED);
    return this.#judgeFirst(record, isAttributable);
  }

  // Nothing stored contradicts it.
  #judgeFirst(record: JudgedRecord, isAttributable: boolean): Judgement {
    if (!isAttributable && !record.isVoid) return this.#quarantine(record, NOT_ATTRIBUTABLE);
    this.#learn(record, false);
    return ACCEPTED;
  }

  // A quarantined record that is sent again once its number is known is accepted and its copy
  // dropped, unless a higher revision was applied meanwhile.
  #judgeAgain(
    record: JudgedRecord,
    same: StoredRevision,
    { highest, isAttributable }: { highest: number; isAttributable: boolean },
  ): Judgement {
    // An erased hash cannot be compared; the record counts as the same.
    if (same.contentHash !== record.contentHash && same.contentHash !== ERASED_HASH) return CONFLICT;
    if (same.quarantined && highest > record.revision) return SUPERSEDED;
    const released = same.quarantined && isAttributable && !(record.revision === 1 && this.#hasNeighbour(record));
    return released ? ACCEPTED : DUPLICATE;
  }

  #quarantine(record: JudgedRecord, judgement: Judgement): Judgement {
    this.#learn(record, true);
    return judgement;
  }

  #hasNeighbour(record: JudgedRecord): boolean {
    const days = this.#identities.get(record.recordId);
    return this.#neighbourDays(record.recordDate).some((day) => {
      const neighbour = dayOf(days, day);
      if (!neighbour) return false;
      for (const revision of revisionsOf(neighbour)) {
        if (!revision.quarantined && mayBeRedated(revision.partyHash, record.partyHash)) return true;
      }
      return false;
    });
  }

  // A cache: records have few days, and computing days is slow.
  #neighbourDays(day: string): readonly string[] {
    let days = this.#days.get(day);
    if (!days) {
      days = [addDays(day, -1), addDays(day, 1)];
      this.#days.set(day, days);
    }
    return days;
  }

  #learn(revision: Omit<KnownRevision, "quarantined">, quarantined: boolean): void {
    const { recordId, recordDate } = revision;
    const stored: StoredRevision = {
      revision: revision.revision,
      contentHash: revision.contentHash,
      partyHash: revision.partyHash,
      quarantined,
    };
    // A quarantined revision must not hide an earlier good one.
    const highest = quarantined ? 0 : revision.revision;
    const otherDay = this.#identities.get(recordId);
    const identity = dayOf(otherDay, recordDate);
    if (!identity) {
      this.#identities.set(recordId, { recordDate, highest, first: stored, others: undefined, otherDay });
      return;
    }
    if (identity.first.revision === stored.revision) {
      identity.first = stored;
    } else {
      identity.others ??= new Map();
      identity.others.set(stored.revision, stored);
    }
    identity.highest = Math.max(identity.highest, highest);
  }
}

const ACCEPTED: Judgement = { verdict: Verdict.ACCEPTED, issue: RecordIssue.UNSPECIFIED };
const DUPLICATE: Judgement = { verdict: Verdict.DUPLICATE, issue: RecordIssue.UNSPECIFIED };
const CONFLICT: Judgement = { verdict: Verdict.CONFLICT, issue: RecordIssue.UNSPECIFIED };
const SUPERSEDED: Judgement = { verdict: Verdict.SUPERSEDED, issue: RecordIssue.UNSPECIFIED };
export const REJECTED: Judgement = { verdict: Verdict.REJECTED, issue: RecordIssue.UNSPECIFIED };
const POSSIBLY_REDATED: Judgement = { verdict: Verdict.QUARANTINED, issue: RecordIssue.POSSIBLY_REDATED };
const NOT_ATTRIBUTABLE: Judgement = { verdict: Verdict.QUARANTINED, issue: RecordIssue.NOT_ATTRIBUTABLE };

interface StoredRevision {
  revision: number;
  contentHash: bigint;
  partyHash: bigint;
  quarantined: boolean;
}

/**
 * A record id on one day. Most have one revision on one day; a map for each would cost too much.
 */
interface Identity {
  recordDate: string;
  /** The highest applied revision; 0: none. */
  highest: number;
  first: StoredRevision;
  others: Map<number, StoredRevision> | undefined;
  /** The same id on another day. */
  otherDay: Identity | undefined;
}

function dayOf(days: Identity | undefined, recordDate: string): Identity | undefined {
  let identity = days;
  while (identity !== undefined && identity.recordDate !== recordDate) identity = identity.otherDay;
  return identity;
}

function revisionOf(identity: Identity, revision: number): StoredRevision | undefined {
  return identity.first.revision === revision ? identity.first : identity.others?.get(revision);
}

function revisionsOf(identity: Identity): StoredRevision[] {
  return identity.others ? [identity.first, ...identity.others.values()] : [identity.first];
}
