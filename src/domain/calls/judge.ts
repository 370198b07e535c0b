import { RecordIssue, Verdict } from "../../gen/tandem/type/v1/upload_pb.js";
import { ERASED_HASH } from "../privacy/erasure.ts";
import { addDays } from "../time/instant.ts";
import { mayBeRedated } from "./party-hash.ts";

/** What a verdict depends on, of one record. */
export interface JudgedRecord {
  recordId: string;
  recordDate: string;
  revision: number;
  isVoid: boolean;
  contentHash: bigint;
  partyHash: bigint;
  /** Refused already: by its shape or its own contradictions. */
  refused: boolean;
  /** Whether a number of this carrier, assigned at the time of the call, fits. */
  attributable: boolean;
}

/** One revision of one identity that is stored. */
export interface KnownRevision {
  recordId: string;
  recordDate: string;
  revision: number;
  contentHash: bigint;
  partyHash: bigint;
  /** Kept aside, not applied. */
  quarantined: boolean;
}

/** A verdict, and for a quarantined record the reason. */
export interface Judgement {
  verdict: Verdict;
  issue: RecordIssue;
}

/**
 * Gives the verdicts of a run of records, in their order, against what is stored for their ids; the
 * first of two equal identities in the run wins. What it accepts or quarantines counts as known for
 * the records after it. Pure: the same input gives the same verdicts.
 */
export class Judge {
  readonly #identities = new Map<string, Identity>();
  readonly #days = new Map<string, readonly string[]>();

  constructor(known: Iterable<KnownRevision>) {
    for (const revision of known) this.#learn(revision, revision.quarantined);
  }

  /** The verdict on the next record. */
  judge(record: JudgedRecord): Judgement {
    if (record.refused) return REJECTED;
    const days = this.#identities.get(record.recordId);
    if (days === undefined) return this.#judgeFirst(record);
    const identity = dayOf(days, record.recordDate);
    const same = identity && revisionOf(identity, record.revision);
    if (identity && same) {
      const judgement = this.#judgeAgain(record, same, identity.highest);
      if (judgement.verdict === Verdict.ACCEPTED) this.#learn(record, false);
      return judgement;
    }
    if (identity && identity.highest > record.revision) return SUPERSEDED;
    if (record.revision === 1 && !record.isVoid && this.#hasNeighbour(record))
      return this.#quarantine(record, POSSIBLY_REDATED);
    return this.#judgeFirst(record);
  }

  // Nothing stored speaks against it.
  #judgeFirst(record: JudgedRecord): Judgement {
    if (!record.attributable && !record.isVoid) return this.#quarantine(record, NOT_ATTRIBUTABLE);
    this.#learn(record, false);
    return ACCEPTED;
  }

  // A quarantined record that is sent again once its number is known is taken at once, and the copy
  // that was kept aside is dropped; unless a higher revision has been applied meanwhile.
  #judgeAgain(record: JudgedRecord, same: StoredRevision, highest: number): Judgement {
    // What was erased of a stored record can no longer be compared: what is sent under its identity
    // is taken for the same.
    if (same.contentHash !== record.contentHash && same.contentHash !== ERASED_HASH) return CONFLICT;
    if (same.quarantined && highest > record.revision) return SUPERSEDED;
    const released = same.quarantined && record.attributable && !(record.revision === 1 && this.#hasNeighbour(record));
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

  // A run of records has few days, and counting days is slower than all the rest.
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
    // Only what is applied supersedes: a revision in quarantine must not hide an earlier one that
    // is good.
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
const REJECTED: Judgement = { verdict: Verdict.REJECTED, issue: RecordIssue.UNSPECIFIED };
const POSSIBLY_REDATED: Judgement = { verdict: Verdict.QUARANTINED, issue: RecordIssue.POSSIBLY_REDATED };
const NOT_ATTRIBUTABLE: Judgement = { verdict: Verdict.QUARANTINED, issue: RecordIssue.NOT_ATTRIBUTABLE };

interface StoredRevision {
  revision: number;
  contentHash: bigint;
  partyHash: bigint;
  quarantined: boolean;
}

/**
 * A record id on one day. Most have one revision on one day, and a map for each would cost more
 * than all the rest.
 */
interface Identity {
  recordDate: string;
  /** The highest revision that is applied; 0 when none is. */
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
