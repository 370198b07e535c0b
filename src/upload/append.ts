import { Judge, type JudgedRecord, type KnownRevision, REJECTED } from "../domain/calls/judge.ts";
import { addCounts, countVerdicts } from "../domain/calls/verdict.ts";
import { FeedId } from "../domain/feed-id.ts";
import { CDR, type RecordKind } from "../domain/record-kind.ts";
import type { Micros } from "../domain/time/instant.ts";
import { type ErasuresInForce, eraseLateBatches } from "../erasure/late-records.ts";
import { Verdict } from "../gen/tandem/type/v1/upload_pb.js";
import { type Tx, together } from "../store/database/run.ts";
import { advanceFeed, type FeedLock, lockFeed, readFeedHead } from "../store/feeds/feed-head.ts";
import type { HoldingsCache } from "../store/numbers/holdings-cache.ts";
import { countLate } from "../store/privacy/erasures.ts";
import { findKnownRevisions } from "../store/records/known-revisions.ts";
import { dropQuarantined, insertQuarantined, type QuarantineRow } from "../store/records/quarantine.ts";
import { type AppendBatch, type AppendRecord, insertAccepted, keptHash } from "../store/records/record-rows.ts";
import { insertRejects, MAX_STORED_REJECTS, type RejectRow } from "../store/records/rejects.ts";
import { advanceUpload, countUpload, insertUploadBatches } from "../store/records/uploads.ts";
import { attributeBatches } from "./attribute.ts";
import type { AppendResult, PreparedBatch } from "./pending.ts";

/** The carrier of the records, and their kind. */
export interface AppendPlace {
  readonly carrierId: string;
  readonly kind: RecordKind;
}

/** What an append depends on besides the store. */
export interface AppendRules {
  readonly holdings: HoldingsCache;
  readonly erasures: ErasuresInForce;
}

/** What one transaction did. */
export interface AppendOutcome {
  results: AppendResult[];
  /** How many entries the feed gained. */
  appended: number;
  headSequence: bigint;
}

/**
 * Appends batches of one carrier's uploads of one kind in one transaction. Lock order: the uploads
 * by id, then the feed's counter row, then rows by key. What depends on no answer is sent together.
 */
export async function appendBatches(
  tx: Tx,
  place: AppendPlace,
  { holdings, erasures }: AppendRules,
  batches: readonly PreparedBatch[],
): Promise<AppendOutcome> {
  const { carrierId, kind } = place;
  const { numbers, advanced, lock, known } = await takePlaces(tx, place, batches);
  if (advanced.size === 0) return { results: batches.map(() => ({ committed: false })), appended: 0, headSequence: 0n };
  const inForce = await erasures.load(tx, carrierId, kind.feed, lock.payloadGeneration);
  const attributed = await attributeBatches(tx, carrierId, holdings, numbers, batches);
  const live = eraseLateBatches(attributed, kind, inForce).filter((batch) => advanced.has(batch.uploadId));
  const judged = judgeBatches(live, known);
  const accepted = judged.flatMap(({ batch, verdicts }) =>
    batch.records.filter((_, index) => verdicts[index] === Verdict.ACCEPTED),
  );
  await together([
    ...applyRecords(tx, place, lock, accepted, appliedAfterAll(known, accepted)),
    keepAside(tx, place, judged, lock.ingestTime, numbers.headSequence),
    recordVerdicts(tx, place, judged, advanced, lock.ingestTime),
  ]);
  const headSequence = lock.nextSequence + BigInt(accepted.length) - 1n;
  return { results: resultsOf(batches, judged), appended: accepted.length, headSequence };
}

/**
 * Gives accepted records the feed's next sequences, and removes what is settled from quarantine.
 * Under the feed's lock. Returns the statements that are under way.
 */
export function applyRecords(
  tx: Tx,
  { carrierId, kind }: AppendPlace,
  lock: FeedLock,
  accepted: readonly AppendRecord[],
  settled: Parameters<typeof dropQuarantined>[3],
): Promise<unknown>[] {
  const dropped = dropQuarantined(tx, carrierId, kind, settled);
  if (accepted.length === 0) return [dropped];
  const next = lock.nextSequence + BigInt(accepted.length);
  return [
    insertAccepted(tx, carrierId, kind, lock, accepted),
    dropped,
    advanceFeed(tx, carrierId, kind.feed, next),
    ...countErased(tx, carrierId, kind, accepted),
  ];
}

/** Judges a batch as an append would at this moment, and stores nothing. */
export async function judgeOnly(
  tx: Tx,
  { carrierId, kind }: AppendPlace,
  holdings: HoldingsCache,
  batch: PreparedBatch,
): Promise<AppendResult & { committed: true }> {
  const numbers = await readFeedHead(tx, carrierId, FeedId.NUMBERS);
  const [attributed] = await attributeBatches(tx, carrierId, holdings, numbers, [batch]);
  const records = attributed?.records ?? [];
  const sought = batch.records.filter((record) => record.refusal === undefined);
  const judge = new Judge(await findKnownRevisions(tx, carrierId, kind, sought));
  return { committed: true, ...judgeRecords(judge, records) };
}

// Waits for the locks in their order. The identities are looked up by a separate statement after
// the one that takes the lock: a single statement with the insert would read them from a snapshot
// from before the wait, and the same record could be stored twice.
async function takePlaces(tx: Tx, place: AppendPlace, batches: readonly PreparedBatch[]) {
  const { carrierId, kind } = place;
  const sought = batches.flatMap((batch) => batch.records.filter((record) => record.refusal === undefined));
  const [numbers, advanced, lock, known] = await together([
    readFeedHead(tx, carrierId, FeedId.NUMBERS),
    advanceUploads(tx, place, batches),
    lockFeed(tx, carrierId, kind.feed),
    findKnownRevisions(tx, carrierId, kind, sought),
  ]);
  return { numbers, advanced, lock, known };
}

// The batches of one upload follow each other, so one UPDATE for each upload takes them all, or
// none when the upload has moved on. Returns the uploads that were moved, with the number of
// rejects that each has.
async function advanceUploads(
  tx: Tx,
  { carrierId, kind }: AppendPlace,
  batches: readonly PreparedBatch[],
): Promise<ReadonlyMap<string, number>> {
  const runs = [...Map.groupBy(batches, (batch) => batch.uploadId)].sort(([left], [right]) => (left < right ? -1 : 1));
  const answers = runs.map(async ([uploadId, run]) => {
    const { writerEpoch, firstOffset } = run[0] as PreparedBatch;
    const count = run.reduce((sum, batch) => sum + batch.records.length, 0);
    const moved = await advanceUpload(tx, { carrierId, kind, uploadId, writerEpoch, firstOffset, count });
    return moved ? [[uploadId, moved.storedRejects] as const] : [];
  });
  return new Map((await together(answers)).flat());
}

interface JudgedBatch {
  batch: AppendBatch;
  verdicts: Verdict[];
  issues: number[];
}

function judgeBatches(batches: readonly AppendBatch[], known: readonly KnownRevision[]): JudgedBatch[] {
  const judge = new Judge(known);
  return batches.map((batch) => ({ batch, ...judgeRecords(judge, batch.records) }));
}

function judgeRecords(judge: Judge, records: readonly AppendRecord[]): { verdicts: Verdict[]; issues: number[] } {
  const judgements = records.map(({ sent, attribution }) =>
    sent.refusal === undefined ? judge.judge(sent, attribution !== undefined) : REJECTED,
  );
  return {
    verdicts: judgements.map((judgement) => judgement.verdict),
    issues: judgements.map((judgement) => judgement.issue),
  };
}

// A record that is accepted now may have a copy in quarantine from an earlier try, which must not
// be released as well.
function appliedAfterAll(known: readonly KnownRevision[], accepted: readonly AppendRecord[]): KnownRevision[] {
  const aside = known.filter((revision) => revision.quarantined);
  if (aside.length === 0) return [];
  const applied = new Set(accepted.map(({ sent }) => identityKey(sent)));
  return aside.filter((revision) => applied.has(identityKey(revision)));
}

/** A record's identity as the key of a map. */
export function identityKey({
  recordId,
  recordDate,
  revision,
}: Omit<JudgedRecord, "isVoid" | "contentHash" | "partyHash">): string {
  return `${recordDate}/${revision}/${recordId}`;
}

// Counts for each erasure the records that it took something out of as they arrived.
function countErased(tx: Tx, carrierId: string, kind: RecordKind, accepted: readonly AppendRecord[]): Promise<void>[] {
  const erasures = accepted.flatMap((record) => record.erasedBy ?? []);
  const isCdrs = kind === CDR;
  return [...Map.groupBy(erasures, (erasureId) => erasureId)].map(([erasureId, { length }]) =>
    countLate(tx, carrierId, erasureId, { cdrs: isCdrs ? length : 0, durations: isCdrs ? 0 : length }),
  );
}

async function keepAside(
  tx: Tx,
  { carrierId, kind }: AppendPlace,
  judged: readonly JudgedBatch[],
  now: Micros,
  numbersSequence: bigint,
): Promise<void> {
  const aside: QuarantineRow[] = [];
  for (const { batch, verdicts, issues } of judged) {
    batch.records.forEach((record, index) => {
      if (verdicts[index] !== Verdict.QUARANTINED) return;
      const { sent } = record;
      aside.push({
        recordId: sent.recordId,
        recordDate: sent.recordDate,
        revision: sent.revision,
        contentHash: keptHash(record, sent.contentHash),
        uploadId: batch.uploadId,
        recordOffset: batch.firstOffset + BigInt(index),
        issue: issues[index] ?? 0,
        numbers: record.numbers,
        startTime: sent.startTime,
        judgedNumbersSequence: numbersSequence,
        payload: record.encoded(),
      });
    });
  }
  await insertQuarantined(tx, carrierId, kind, aside, now);
}

async function recordVerdicts(
  tx: Tx,
  { carrierId, kind }: AppendPlace,
  judged: readonly JudgedBatch[],
  storedRejects: ReadonlyMap<string, number>,
  now: Micros,
): Promise<void> {
  const batches = judged.map(({ batch, verdicts }) => ({
    uploadId: batch.uploadId,
    firstOffset: batch.firstOffset,
    verdicts: Buffer.from(verdicts),
    hashes: hashesOf(batch.records),
  }));
  const answers: Promise<unknown>[] = [insertUploadBatches(tx, { carrierId, kind }, batches, now)];
  for (const [uploadId, parts] of Map.groupBy(judged, ({ batch }) => batch.uploadId)) {
    const upload = { carrierId, kind, uploadId };
    const counts = parts.map(({ verdicts }) => countVerdicts(verdicts)).reduce(addCounts);
    let connectedMs = 0n;
    for (const { batch } of parts) for (const record of batch.records) connectedMs += record.sent.connectedDurationMs;
    const rejects = rejectsOf(parts, storedRejects.get(uploadId) ?? 0);
    answers.push(insertRejects(tx, upload, rejects, now));
    answers.push(countUpload(tx, upload, { counts, connectedMs, storedRejects: rejects.length }, now));
  }
  await together(answers);
}

function hashesOf(records: readonly AppendRecord[]): Buffer {
  const hashes = Buffer.allocUnsafe(records.length * 8);
  const view = new DataView(hashes.buffer, hashes.byteOffset, hashes.length);
  for (const [index, record] of records.entries())
    view.setBigInt64(index * 8, keptHash(record, record.sent.contentHash));
  return hashes;
}

// Rejects of records that are not stored elsewhere have half of the room for themselves: a source
// that is sent again would fill it with duplicates.
function rejectsOf(parts: readonly JudgedBatch[], alreadyStored: number): RejectRow[] {
  const rejects: RejectRow[] = [];
  for (const { batch, verdicts, issues } of parts) {
    for (const [index, verdict] of verdicts.entries()) {
      if (verdict === Verdict.ACCEPTED && !batch.records[index]?.sent.warnings.length) continue;
      const isStored = verdict === Verdict.ACCEPTED || verdict === Verdict.DUPLICATE;
      const most = isStored ? MAX_STORED_REJECTS / 2 : MAX_STORED_REJECTS;
      if (alreadyStored + rejects.length < most) rejects.push(batch.describe(index, verdict, issues[index] ?? 0));
    }
  }
  return rejects;
}

function resultsOf(batches: readonly PreparedBatch[], judged: readonly JudgedBatch[]): AppendResult[] {
  const byPlace = new Map(judged.map((entry) => [`${entry.batch.uploadId}/${entry.batch.firstOffset}`, entry]));
  return batches.map((batch): AppendResult => {
    const entry = byPlace.get(`${batch.uploadId}/${batch.firstOffset}`);
    return entry ? { committed: true, verdicts: entry.verdicts, issues: entry.issues } : { committed: false };
  });
}
