import type { FeedId } from "../../domain/feed-id.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { appendAuditEvent } from "../audit/audit-log.ts";
import { type Database, systemTransaction } from "../database/database.ts";
import { readRow, type Tx } from "../database/run.ts";
import { judgeHead, type SeenFeed } from "../database/seen-heads.ts";
import { readTimeline } from "../database/timeline.ts";
import { type PolledHead, pollFeedHeads } from "./feed-head.ts";
import { readEntryIngestTime } from "./feed-position.ts";

/** A feed that began a new epoch, because a failover has lost its newest entries. */
export interface LostEntries {
  readonly carrierId: string;
  readonly feed: FeedId;
  /** The new epoch. */
  readonly epoch: bigint;
  /** What was acknowledged since then may be lost. */
  readonly lostSince: Micros;
  /** The feed's end as this process saw it, and on the new server. */
  readonly seenSequence: bigint;
  readonly headSequence: bigint;
}

const CARRIERS_A_STATEMENT = 500;

/** A server that took over, and how. */
export interface Takeover {
  readonly db: Database;
  /** The timeline that it writes. */
  readonly timeline: bigint;
  /** How far it may have been behind, milliseconds. */
  readonly replicaLagMs: number;
  readonly events: {
    readonly onLost: (lost: LostEntries) => void;
    /** Called for a carrier that has no row any more. */
    readonly onCarrierLost: (carrierId: string) => void;
  };
}

/**
 * Looks at every feed that this process saw on an earlier timeline, and begins a new epoch of each
 * whose head has stepped back.
 */
export async function beginLostEpochs(takeover: Takeover): Promise<void> {
  const { db, timeline, events } = takeover;
  const seen = db.heads.seenBefore(timeline);
  const byCarrier = Map.groupBy(seen, ({ carrierId }) => carrierId);
  const carrierIds = [...byCarrier.keys()];
  for (let index = 0; index < carrierIds.length; index += CARRIERS_A_STATEMENT) {
    const some = carrierIds.slice(index, index + CARRIERS_A_STATEMENT);
    const heads = await systemTransaction(db, async (tx) => {
      await assertTimeline(tx, timeline);
      return pollFeedHeads(tx, some);
    });
    for (const head of heads) {
      const known = byCarrier.get(head.carrierId)?.find(({ feed }) => feed === head.feed);
      if (!known) continue;
      const hasSteppedBack = judgeHead(known, { ...head, timeline }, timeline) === "stepped back";
      const lost = hasSteppedBack ? await beginEpoch(takeover, known, head) : undefined;
      if (lost) events.onLost(lost);
      else db.heads.note(head.carrierId, known.feed, { ...head, timeline });
    }
    const there = new Set(heads.map(({ carrierId }) => carrierId));
    for (const carrierId of some.filter((id) => !there.has(id))) {
      db.heads.forget(carrierId);
      events.onCarrierLost(carrierId);
    }
  }
}

// The statement decides while it locks the row: if another was sooner, the epoch has changed, and
// nothing is done.
async function beginEpoch(
  { db, timeline, replicaLagMs }: Takeover,
  seen: SeenFeed,
  head: PolledHead,
): Promise<LostEntries | undefined> {
  const { carrierId, feed } = seen;
  const lost = await systemTransaction(db, async (tx) => {
    await assertTimeline(tx, timeline);
    const lostSince = (await readLastKept(tx, seen, head)) - BigInt(replicaLagMs) * 1000n;
    const epoch = newest(seen.epoch, head.epoch) + 1n;
    const row = await readRow(tx)<{ nextSequence: bigint }>`
      UPDATE feed_head SET epoch = ${epoch}, payload_generation = payload_generation + 1,
        lost_since = ${isoFromMicros(lostSince)}::timestamptz, lost_timeline = ${timeline}
      WHERE carrier_id = ${carrierId} AND feed = ${feed} AND epoch = ${head.epoch}
        AND (epoch < ${seen.epoch} OR next_sequence <= ${seen.headSequence})
      RETURNING next_sequence`;
    if (!row) return undefined;
    const found: LostEntries = {
      ...{ carrierId, feed, epoch, lostSince, seenSequence: seen.headSequence },
      headSequence: row.nextSequence - 1n,
    };
    await appendAuditEvent(tx, auditAct(found, timeline));
    return found;
  });
  if (lost) db.heads.note(carrierId, feed, { ...lost, lastIngestTime: head.lastIngestTime, timeline });
  return lost;
}

// Taken from the head as it was read when the timeline was first seen. The feed's own time may have
// been raised since, without an entry; and another process may have added entries, so it is no
// later than what was seen before.
async function readLastKept(tx: Tx, { carrierId, feed, lastIngestTime }: SeenFeed, head: PolledHead): Promise<Micros> {
  const kept = head.headSequence >= head.earliestSequence && head.headSequence > 0n;
  const newest = kept ? await readEntryIngestTime(tx, carrierId, feed, head.headSequence) : undefined;
  const found = newest ?? head.lastIngestTime;
  return found < lastIngestTime ? found : lastIngestTime;
}

function auditAct(lost: LostEntries, timeline: bigint) {
  return {
    carrierId: lost.carrierId,
    actor: "tandem",
    method: "failover/new epoch",
    resource: `feed/${lost.feed}`,
    details: {
      epoch: String(lost.epoch),
      lost_since: isoFromMicros(lost.lostSince),
      seen_sequence: String(lost.seenSequence),
      head_sequence: String(lost.headSequence),
      timeline: String(timeline),
    },
  };
}

function newest(left: bigint, right: bigint): bigint {
  return left > right ? left : right;
}

async function assertTimeline(tx: Tx, timeline: bigint): Promise<void> {
  const now = await readTimeline(tx);
  if (now !== timeline) throw new Error(`the server writes timeline ${now}, and not ${timeline} as a moment ago`);
}
