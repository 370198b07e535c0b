import { sql } from "kysely";
import { Judge, type KnownRevision } from "../../domain/calls/judge.ts";
import { addCounts, countVerdicts } from "../../domain/calls/verdict.ts";
import { FeedId } from "../../domain/feed-id.ts";
import { ERASED_HASH } from "../../domain/privacy/erasure.ts";
import { CDR, type RecordKind } from "../../domain/record-kind.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { Verdict } from "../../gen/tandem/type/v1/upload_pb.js";
import { dateArray, int4Array, int8Array, textArray } from "../database/binary-array.ts";
import { type Tx, together } from "../database/database.ts";
import { insertAll } from "../database/insert-all.ts";
import { advanceFeed, type FeedHead, type FeedLock, lockFeed, readFeedHead } from "../feeds/feed-head.ts";
import { countLate } from "../privacy/erasures.ts";
import { findKnownRevisions } from "./known-revisions.ts";
import { dropQuarantined, insertQuarantined, type QuarantineRow } from "./quarantine.ts";
import { type AppendRecord, insertCdrRows, insertDurationRows } from "./record-rows.ts";
import {
  advanceUpload,
  countUpload,
  insertRejects,
  insertUploadBatches,
  MAX_STORED_REJECTS,
  type RejectRow,
} from "./uploads.ts";

/** Where one batch of one upload belongs, and whose identities it has. */
export interface FencedBatch {
  uploadId: string;
  writerEpoch: bigint;
  firstOffset: bigint;
  records: readonly { recordId: string; recordDate: string; refusal?: unknown }[];
}

/** One batch of one upload, its records attributed. */
export interface AppendBatch extends Omit<FencedBatch, "records"> {
  records: readonly AppendRecord[];
  /** What is to be kept of a record that is not plainly accepted. */
  describe: (index: number, verdict: Verdict, issue: number) => RejectRow;
}

/** What a commit made of one batch: verdicts by record, or that the upload had moved on. */
export type AppendResult = { committed: true; verdicts: Verdict[]; issues: number[] } | { committed: false };

/** What one transaction did. */
export interface AppendOutcome {
  results: AppendResult[];
  /** How many entries the feed gained. */
  appended: number;
  headSequence: bigint;
}

/**
 * Appends batches of one carrier's uploads of one kind in one transaction. Lock order: the uploads
 * by id, then the feed's counter row, then rows by key. The identities are looked up by a statement
 * of their own behind the one that takes the lock: in one statement with the insert they would be
 * read from the snapshot of before the wait, and the same record could go in twice. What depends on
 * no answer is sent together.
 * @param attribute joins the batches' records to their numbers, as the carrier's numbers stand in
 *   this transaction, and takes out of them what was erased by the time of the lock.
 */
export async function appendBatches(
  tx: Tx,
  carrierId: string,
  kind: RecordKind,
  batches: readonly FencedBatch[],
  attribute: (numbers: FeedHead, lock: FeedLock) => Promise<readonly AppendBatch[]>,
): Promise<AppendOutcome> {
  const place: AppendPlace = { carrierId, kind };
  const { numbers, advanced, lock, known } = await takePlaces(tx, place, batches);
  if (advanced.size === 0) return { results: batches.map(() => ({ committed: false })), appended: 0, headSequence: 0n };

  const live = (await attribute(numbers, lock)).filter((batch) => advanced.has(batch.uploadId));
  const judged = judgeBatches(live, known);
  const accepted = judged.flatMap(({ batch, verdicts }) =>
    batch.records.filter((_, index) => verdicts[index] === Verdict.ACCEPTED),
  );
  const next = lock.nextSequence + BigInt(accepted.length);
  await together([
    insertAccepted(tx, carrierId, kind, lock, accepted),
    keepAside(tx, place, judged, lock.ingestTime, numbers.headSequence),
    dropQuarantined(tx, carrierId, kind, appliedAfterAll(known, accepted)),
    recordVerdicts(tx, place, judged, advanced, lock.ingestTime),
    ...(accepted.length > 0 ? [advanceFeed(tx, carrierId, kind.feed, next)] : []),
    countErased(tx, carrierId, kind, accepted),
  ]);
  return { results: resultsOf(batches, judged), appended: accepted.length, headSequence: next - 1n };
}

/** Tells erasures which records they took something out of as these arrived. */
export async function countErased(
  tx: Tx,
  carrierId: string,
  kind: RecordKind,
  accepted: readonly AppendRecord[],
): Promise<void> {
  const erasures = accepted.flatMap((record) => record.erasedBy ?? []);
  const counts = [...Map.groupBy(erasures, (erasureId) => erasureId)];
  const isCdrs = kind === CDR;
  await together(
    counts.map(([erasureId, { length }]) =>
      countLate(tx, carrierId, erasureId, { cdrs: isCdrs ? length : 0, durations: isCdrs ? 0 : length }),
    ),
  );
}

/** Judges records as an append would at this moment, and stores nothing. */
export async function judgeOnly(
  tx: Tx,
  carrierId: string,
  kind: RecordKind,
  records: readonly AppendRecord[],
): Promise<AppendResult> {
  const sought = records.filter((record) => !record.refused);
  const judge = new Judge(await findKnownRevisions(tx, carrierId, kind, sought));
  return { committed: true, ...judgeRecords(judge, records) };
}

/** Whose records, of which kind. */
interface AppendPlace {
  carrierId: string;
  kind: RecordKind;
}

// Waits for the locks in their order, and looks up behind them.
async function takePlaces(tx: Tx, { carrierId, kind }: AppendPlace, batches: readonly FencedBatch[]) {
  const sought = batches.flatMap((batch) => batch.records.filter((record) => record.refusal === undefined));
  const [numbers, advanced, lock, known] = await together([
    readFeedHead(tx, carrierId, FeedId.NUMBERS),
    advanceUploads(tx, carrierId, kind, batches),
    lockFeed(tx, carrierId, kind.feed),
    findKnownRevisions(tx, carrierId, kind, sought),
  ]);
  return { numbers, advanced, lock, known };
}

// The batches of one upload follow each other, so one UPDATE an upload takes them all, or none when
// it has moved on. Returns those that were moved, with the number of rejects that each has.
async function advanceUploads(
  tx: Tx,
  carrierId: string,
  kind: RecordKind,
  batches: readonly FencedBatch[],
): Promise<ReadonlyMap<string, number>> {
  const runs = [...Map.groupBy(batches, (batch) => batch.uploadId)].sort(([left], [right]) => (left < right ? -1 : 1));
  const answers = runs.map(([uploadId, run]) => {
    const { writerEpoch, firstOffset } = run[0] as FencedBatch;
    const count = run.reduce((sum, batch) => sum + batch.records.length, 0);
    return advanceUpload(tx, { carrierId, kind, uploadId, writerEpoch, firstOffset, count });
  });
  const advanced = new Map<string, number>();
  for (const [index, answer] of (await together(answers)).entries()) {
    const uploadId = runs[index]?.[0];
    if (answer && uploadId !== undefined) advanced.set(uploadId, answer.storedRejects);
  }
  return advanced;
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
  const judgements = records.map((record) => judge.judge(record));
  return {
    verdicts: judgements.map((judgement) => judgement.verdict),
    issues: judgements.map((judgement) => judgement.issue),
  };
}

function resultsOf(batches: readonly FencedBatch[], judged: readonly JudgedBatch[]): AppendResult[] {
  const byPlace = new Map(judged.map((entry) => [`${entry.batch.uploadId}/${entry.batch.firstOffset}`, entry]));
  return batches.map((batch): AppendResult => {
    const entry = byPlace.get(`${batch.uploadId}/${batch.firstOffset}`);
    return entry ? { committed: true, verdicts: entry.verdicts, issues: entry.issues } : { committed: false };
  });
}

// A record that is accepted now may have a copy in quarantine from an earlier try: it must not be
// released as well.
function appliedAfterAll(known: readonly KnownRevision[], accepted: readonly AppendRecord[]): KnownRevision[] {
  const aside = known.filter((revision) => revision.quarantined);
  if (aside.length === 0) return [];
  const applied = new Set(accepted.map((record) => `${record.recordDate}/${record.revision}/${record.recordId}`));
  return aside.filter((revision) => applied.has(`${revision.recordDate}/${revision.revision}/${revision.recordId}`));
}

function pickIdentity(record: AppendRecord) {
  const { recordId, recordDate, revision, isVoid } = record;
  return { recordId, recordDate, revision, isVoid, contentHash: keptHash(record, record.contentHash) };
}

function keptHash(record: AppendRecord, hash: bigint): bigint {
  return record.erasedBy === undefined ? hash : ERASED_HASH;
}

/**
 * Inserts accepted records with the sequences from `lock.nextSequence` on, their keys first: the
 * unique key is the backstop.
 */
export async function insertAccepted(
  tx: Tx,
  carrierId: string,
  kind: RecordKind,
  lock: { nextSequence: bigint; ingestTime: Micros },
  records: readonly AppendRecord[],
): Promise<void> {
  if (records.length === 0) return;
  const identity = {
    recordIds: textArray(records.map((r) => r.recordId)),
    recordDates: dateArray(records.map((r) => r.recordDate)),
    revisions: int4Array(records.map((r) => r.revision)),
  };
  const keys = sql`
    INSERT INTO ${sql.table(kind.keys)} (carrier_id, record_id, record_date, revision, content_hash, party_hash, sequence, ingest_time)
    SELECT c.carrier_id, unnest(${identity.recordIds}::text[]), unnest(${identity.recordDates}::date[]), unnest(${identity.revisions}::int4[]),
           unnest(${int8Array(records.map((r) => keptHash(r, r.contentHash)))}::int8[]), unnest(${int8Array(records.map((r) => keptHash(r, r.partyHash)))}::int8[]),
           generate_series(${lock.nextSequence}::int8, ${lock.nextSequence + BigInt(records.length - 1)}::int8),
           ${isoFromMicros(lock.ingestTime)}::timestamptz
    FROM carrier c WHERE c.carrier_id = ${carrierId}`;
  const insertRows = kind === CDR ? insertCdrRows : insertDurationRows;
  await together([insertAll(tx, keys, records.length), insertRows(tx, carrierId, lock, records, identity)]);
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
      aside.push({
        ...pickIdentity(record),
        uploadId: batch.uploadId,
        recordOffset: batch.firstOffset + BigInt(index),
        issue: issues[index] ?? 0,
        numbers: record.numbers,
        startTime: record.startTime,
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
    for (const { batch } of parts) for (const record of batch.records) connectedMs += record.connectedDurationMs;
    const rejects = rejectsOf(parts, storedRejects.get(uploadId) ?? 0);
    answers.push(insertRejects(tx, upload, rejects, now));
    answers.push(countUpload(tx, upload, { counts, connectedMs, storedRejects: rejects.length }, now));
  }
  await together(answers);
}

function hashesOf(records: readonly AppendRecord[]): Buffer {
  const hashes = Buffer.allocUnsafe(records.length * 8);
  const view = new DataView(hashes.buffer, hashes.byteOffset, hashes.length);
  for (const [index, record] of records.entries()) view.setBigInt64(index * 8, keptHash(record, record.contentHash));
  return hashes;
}

// What was not applied and is not stored elsewhere has half of the room for itself: a source that
// is sent again would fill it with duplicates.
function rejectsOf(parts: readonly JudgedBatch[], alreadyStored: number): RejectRow[] {
  const rejects: RejectRow[] = [];
  for (const { batch, verdicts, issues } of parts) {
    for (const [index, verdict] of verdicts.entries()) {
      if (verdict === Verdict.ACCEPTED && !batch.records[index]?.warned) continue;
      const isStored = verdict === Verdict.ACCEPTED || verdict === Verdict.DUPLICATE;
      const most = isStored ? MAX_STORED_REJECTS / 2 : MAX_STORED_REJECTS;
      if (alreadyStored + rejects.length < most) rejects.push(batch.describe(index, verdict, issues[index] ?? 0));
    }
  }
  return rejects;
}
