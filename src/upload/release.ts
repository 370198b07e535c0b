import { Judge, type JudgedRecord } from "../domain/calls/judge.ts";
import { FeedId } from "../domain/feed-id.ts";
import { wallMicros } from "../domain/time/wall-clock.ts";
import { type ErasuresInForce, eraseLate } from "../erasure/late-records.ts";
import { Verdict } from "../gen/tandem/type/v1/upload_pb.js";
import { carrierTransaction, type Database } from "../store/database/database.ts";
import { type Tx, together } from "../store/database/run.ts";
import { lockFeed, readFeedHead } from "../store/feeds/feed-head.ts";
import type { HoldingsCache } from "../store/numbers/holdings-cache.ts";
import { findKnownRevisions } from "../store/records/known-revisions.ts";
import { markQuarantineJudged, readQuarantined } from "../store/records/quarantine.ts";
import type { AppendRecord } from "../store/records/record-rows.ts";
import { type AppendPlace, applyRecords, identityKey } from "./append.ts";
import { attributeBatches } from "./attribute.ts";
import type { RecordCodec } from "./record-codec.ts";
import { prepareKept } from "./records/kept-record.ts";
import type { PrepareContext } from "./records/prepared.ts";

export interface ReleaseOptions<Message> {
  db: Database;
  holdings: HoldingsCache;
  carrierId: string;
  codec: RecordCodec<Message>;
  hashSecret: Buffer;
  erasures: ErasuresInForce;
  signal: AbortSignal;
  onAppended: (carrierId: string, feed: FeedId, headSequence: bigint) => void;
}

/** How many records are judged again in one transaction. */
const PAGE = 1_000;
/** A quarantined record is not refused for the age that it reached in quarantine. */
const ANY_AGE: PrepareContext["horizons"] = { firstDays: 1_000_000, laterDays: 1_000_000 };

/**
 * Judges a carrier's quarantined records again, if its numbers have changed since: records that now
 * belong to a number are appended to their feed, those with a later revision are dropped, the
 * others go on waiting. Verdicts that were given stay as they are.
 * @returns how many were appended.
 */
export async function releaseQuarantined<Message>(options: ReleaseOptions<Message>): Promise<number> {
  let released = 0;
  while (!options.signal.aborted) {
    const page = await carrierTransaction(options.db, options.carrierId, (tx) => releasePage(tx, options), {
      byIndexOnly: true,
    });
    released += page.released;
    if (page.appended) options.onAppended(options.carrierId, page.appended.feed, page.appended.headSequence);
    if (page.judged < PAGE) break;
  }
  return released;
}

interface ReleasedPage {
  judged: number;
  released: number;
  appended?: { feed: FeedId; headSequence: bigint };
}

async function releasePage<Message>(tx: Tx, options: ReleaseOptions<Message>): Promise<ReleasedPage> {
  const { carrierId, codec, holdings } = options;
  const numbers = await readFeedHead(tx, carrierId, FeedId.NUMBERS);
  const waiting = await readQuarantined(tx, carrierId, codec.kind, {
    numbersSequence: numbers.headSequence,
    all: false,
    limit: PAGE,
  });
  if (waiting.length === 0) return { judged: 0, released: 0 };
  const context: PrepareContext = { now: wallMicros(), hashSecret: options.hashSecret, horizons: ANY_AGE };
  const prepared = waiting.map((row) => prepareKept(codec, row.payload, context));
  const batch = {
    uploadId: "",
    writerEpoch: 0n,
    firstOffset: 0n,
    records: prepared,
    codec,
    describe: () => {
      throw new Error("a release describes no rejects");
    },
  };
  const [attributed] = await attributeBatches(tx, carrierId, holdings, numbers, [batch]);
  const records = attributed?.records ?? [];
  const fitting = records.filter((record) => record.attribution && !record.sent.refusal);
  // The feed's lock is taken before the rows of the quarantine, here as in an append.
  const appended =
    fitting.length > 0
      ? await appendReleased(tx, { carrierId, kind: codec.kind }, options.erasures, fitting)
      : { released: 0 };
  await markQuarantineJudged(tx, carrierId, codec.kind, prepared, numbers.headSequence);
  return { judged: waiting.length, ...appended };
}

// Under the feed's lock, so that a record that has just been sent again, or released by another
// process, is not appended twice.
async function appendReleased(tx: Tx, place: AppendPlace, erasures: ErasuresInForce, waiting: readonly AppendRecord[]) {
  const { carrierId, kind } = place;
  const { feed } = kind;
  const lock = await lockFeed(tx, carrierId, feed);
  const inForce = await erasures.load(tx, carrierId, feed, lock.payloadGeneration);
  const fitting = waiting.map((record) => eraseLate(record, kind, inForce));
  const known = await findKnownRevisions(
    tx,
    carrierId,
    kind,
    fitting.map(({ sent }) => sent),
  );
  const stillAside = new Set(known.filter((revision) => revision.quarantined).map(identityKey));
  const judge = new Judge(known);
  const accepted: AppendRecord[] = [];
  const settled: JudgedRecord[] = [];
  for (const record of fitting.toSorted((left, right) => left.sent.revision - right.sent.revision)) {
    const { sent } = record;
    if (!stillAside.has(identityKey(sent))) continue;
    const { verdict } = judge.judge(sent, record.attribution !== undefined);
    if (verdict === Verdict.ACCEPTED) accepted.push(record);
    if (verdict === Verdict.ACCEPTED || verdict === Verdict.SUPERSEDED) settled.push(sent);
  }
  await together(applyRecords(tx, place, lock, accepted, settled));
  if (accepted.length === 0) return { released: 0 };
  const headSequence = lock.nextSequence + BigInt(accepted.length) - 1n;
  return { released: accepted.length, appended: { feed, headSequence } };
}
