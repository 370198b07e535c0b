import { addDays } from "./instant.ts";
import { RecordIssue, Verdict } from "./verdict.ts";

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
 * Gives the verdicts of a run of records, in their order, against what is stored for their ids; the first of two equal identities in the run
 * wins. What it accepts or quarantines counts as known for the records after it. Pure: the same input gives the same verdicts.
 */
export class Judge {
  readonly #identities = new Map<string, Identity>();
  readonly #days = new Map<string, readonly string[]>();

  constructor(known: Iterable<KnownRevision>) {
    for (const revision of known) this.#learn(revision, revision.quarantined);
  }

  /** The verdict on the next record. */
  judge(record: JudgedRecord): Judgement {
    if (record.refused) return { verdict: Verdict.REJECTED, issue: RecordIssue.NONE };
    const identity = this.#identities.get(identityKey(record.recordId, record.recordDate));
    const same = identity?.revisions.get(record.revision);
    if (identity && same) {
      const judgement = this.#judgeAgain(record, same, identity.highest);
      if (judgement.verdict === Verdict.ACCEPTED) this.#learn(record, false);
      return judgement;
    }
    if (identity && identity.highest > record.revision) return { verdict: Verdict.SUPERSEDED, issue: RecordIssue.NONE };
    if (record.revision === 1 && !record.isVoid && this.#hasNeighbour(record))
      return this.#quarantine(record, RecordIssue.POSSIBLY_REDATED);
    if (!record.attributable && !record.isVoid) return this.#quarantine(record, RecordIssue.NOT_ATTRIBUTABLE);
    this.#learn(record, false);
    return { verdict: Verdict.ACCEPTED, issue: RecordIssue.NONE };
  }

  // A quarantined record that is sent again once its number is known is taken at once, and the copy that was kept aside is dropped; unless a higher
  // revision has been applied meanwhile.
  #judgeAgain(record: JudgedRecord, same: StoredRevision, highest: number): Judgement {
    if (same.contentHash !== record.contentHash) return { verdict: Verdict.CONFLICT, issue: RecordIssue.NONE };
    if (same.quarantined && highest > record.revision) return { verdict: Verdict.SUPERSEDED, issue: RecordIssue.NONE };
    const released = same.quarantined && record.attributable && !(record.revision === 1 && this.#hasNeighbour(record));
    return { verdict: released ? Verdict.ACCEPTED : Verdict.DUPLICATE, issue: RecordIssue.NONE };
  }

  #quarantine(record: JudgedRecord, issue: RecordIssue): Judgement {
    this.#learn(record, true);
    return { verdict: Verdict.QUARANTINED, issue };
  }

  #hasNeighbour(record: JudgedRecord): boolean {
    return this.#neighbourDays(record.recordDate).some((day) => {
      const neighbour = this.#identities.get(identityKey(record.recordId, day));
      if (!neighbour) return false;
      for (const revision of neighbour.revisions.values()) {
        if (!revision.quarantined && revision.partyHash === record.partyHash) return true;
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
    const key = identityKey(revision.recordId, revision.recordDate);
    let identity = this.#identities.get(key);
    if (!identity) {
      identity = { highest: 0, revisions: new Map() };
      this.#identities.set(key, identity);
    }
    identity.revisions.set(revision.revision, {
      contentHash: revision.contentHash,
      partyHash: revision.partyHash,
      quarantined,
    });
    // Only what is applied supersedes: a revision in quarantine must not hide an earlier one that is good.
    if (!quarantined) identity.highest = Math.max(identity.highest, revision.revision);
  }
}

interface StoredRevision {
  contentHash: bigint;
  partyHash: bigint;
  quarantined: boolean;
}

interface Identity {
  highest: number;
  revisions: Map<number, StoredRevision>;
}

function identityKey(recordId: string, recordDate: string): string {
  return `${recordDate}${recordId}`;
}
