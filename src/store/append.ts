import { sql } from "kysely";
import { isoFromMicros, type Micros } from "../domain/instant.ts";
import { Judge, type KnownRevision } from "../domain/judge.ts";
import { addCounts, countVerdicts, Verdict } from "../domain/verdict.ts";
import { dateArray, int4Array, int8Array, textArray } from "./binary-array.ts";
import type { Tx } from "./database.ts";
import { advanceFeed, lockFeed } from "./feed-head.ts";
import { findKnownRevisions } from "./known-revisions.ts";
import { dropQuarantined, insertQuarantined, type QuarantineRow } from "./quarantine.ts";
import { type AppendRecord, insertCdrRows, insertDurationRows } from "./record-rows.ts";
import { Feed, UploadKind } from "./schema.ts";
import { advanceUpload, countUpload, insertRejects, insertUploadBatches, type RejectRow } from "./uploads.ts";

/** One batch of one upload. */
export interface AppendBatch {
  uploadId: string;
  writerEpoch: bigint;
  firstOffset: bigint;
  records: readonly AppendRecord[];
  /** What is to be kept of a record that is refused or quarantined. */
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
 * Appends batches of one carrier's uploads of one kind in one transaction. Lock order: the uploads by id, then the feed's counter row, then rows by
 * key. The identities are looked up in a statement of their own after the lock is held: in one statement with the insert they would be read from
 * the snapshot of before the wait, and the same record could go in twice.
 * @param numbersSequence the state of the carrier's numbers that the attributions were judged by.
 */
export async function appendBatches(
  tx: Tx,
  carrierId: string,
  kind: UploadKind,
  batches: readonly AppendBatch[],
  numbersSequence: bigint,
): Promise<AppendOutcome> {
  const fenced = await advanceUploads(tx, carrierId, kind, batches);
  const live = batches.filter((_, index) => fenced[index]);
  const feed = kind === UploadKind.CDRS ? Feed.CDRS : Feed.DURATIONS;
  if (live.length === 0) return { results: batches.map(() => ({ committed: false })), appended: 0, headSequence: 0n };

  const lock = await lockFeed(tx, carrierId, feed);
  const { judged, aside } = await judgeBatches(tx, carrierId, kind, live);
  const accepted = judged.flatMap(({ batch, verdicts }) =>
    batch.records.filter((_, index) => verdicts[index] === Verdict.ACCEPTED),
  );
  await insertAccepted(tx, carrierId, kind, lock, accepted);
  await keepAside(tx, { carrierId, kind }, judged, lock.ingestTime, numbersSequence);
  await dropQuarantined(tx, carrierId, kind, appliedAfterAll(aside, accepted));
  await recordVerdicts(tx, { carrierId, kind }, judged, lock.ingestTime);
  const next = lock.nextSequence + BigInt(accepted.length);
  if (accepted.length > 0) await advanceFeed(tx, carrierId, feed, next);

  const byBatch = new Map(judged.map((entry) => [entry.batch, entry]));
  const results = batches.map((batch): AppendResult => {
    const entry = byBatch.get(batch);
    return entry ? { committed: true, verdicts: entry.verdicts, issues: entry.issues } : { committed: false };
  });
  return { results, appended: accepted.length, headSequence: next - 1n };
}

/** Judges records as an append would at this moment, and stores nothing. */
export async function judgeOnly(
  tx: Tx,
  carrierId: string,
  kind: UploadKind,
  records: readonly AppendRecord[],
): Promise<AppendResult> {
  const judge = new Judge(await findKnownRevisions(tx, carrierId, kind, records));
  const judgements = records.map((record) => judge.judge(record));
  return {
    committed: true,
    verdicts: judgements.map((judgement) => judgement.verdict),
    issues: judgements.map((judgement) => judgement.issue),
  };
}

// The batches of one upload follow each other, so one UPDATE an upload takes them all, or none when it has moved on.
async function advanceUploads(
  tx: Tx,
  carrierId: string,
  kind: UploadKind,
  batches: readonly AppendBatch[],
): Promise<boolean[]> {
  const runs = new Map<string, AppendBatch[]>();
  for (const batch of batches) {
    const run = runs.get(batch.uploadId);
    if (run) run.push(batch);
    else runs.set(batch.uploadId, [batch]);
  }
  const advanced = new Set<string>();
  for (const uploadId of [...runs.keys()].sort()) {
    const run = runs.get(uploadId) ?? [];
    const first = run[0] as AppendBatch;
    const count = run.reduce((sum, batch) => sum + batch.records.length, 0);
    if (
      await advanceUpload(tx, {
        carrierId,
        kind,
        uploadId,
        writerEpoch: first.writerEpoch,
        firstOffset: first.firstOffset,
        count,
      })
    ) {
      advanced.add(uploadId);
    }
  }
  return batches.map((batch) => advanced.has(batch.uploadId));
}

interface JudgedBatch {
  batch: AppendBatch;
  verdicts: Verdict[];
  issues: number[];
}

async function judgeBatches(tx: Tx, carrierId: string, kind: UploadKind, batches: readonly AppendBatch[]) {
  const known = await findKnownRevisions(
    tx,
    carrierId,
    kind,
    batches.flatMap((batch) => batch.records),
  );
  const judge = new Judge(known);
  const judged = batches.map((batch): JudgedBatch => {
    const judgements = batch.records.map((record) => judge.judge(record));
    return {
      batch,
      verdicts: judgements.map((judgement) => judgement.verdict),
      issues: judgements.map((judgement) => judgement.issue),
    };
  });
  return { judged, aside: known.filter((revision) => revision.quarantined) };
}

// A record that is accepted now may have a copy in quarantine from an earlier try: it must not be released as well.
function appliedAfterAll(aside: readonly KnownRevision[], accepted: readonly AppendRecord[]): KnownRevision[] {
  if (aside.length === 0) return [];
  const applied = new Set(accepted.map((record) => `${record.recordDate}/${record.revision}/${record.recordId}`));
  return aside.filter((revision) => applied.has(`${revision.recordDate}/${revision.revision}/${revision.recordId}`));
}

function pickIdentity(record: AppendRecord) {
  const { recordId, recordDate, revision, isVoid, contentHash } = record;
  return { recordId, recordDate, revision, isVoid, contentHash };
}

/** Inserts accepted records with the sequences from `lock.nextSequence` on, their keys first: the unique key is the backstop. */
export async function insertAccepted(
  tx: Tx,
  carrierId: string,
  kind: UploadKind,
  lock: { nextSequence: bigint; ingestTime: Micros },
  records: readonly AppendRecord[],
): Promise<void> {
  if (records.length === 0) return;
  const table = kind === UploadKind.CDRS ? "cdr_key" : "duration_key";
  const identity = {
    recordIds: textArray(records.map((r) => r.recordId)),
    recordDates: dateArray(records.map((r) => r.recordDate)),
    revisions: int4Array(records.map((r) => r.revision)),
  };
  await sql`
    INSERT INTO ${sql.table(table)} (carrier_id, record_id, record_date, revision, content_hash, party_hash, sequence, ingest_time)
    SELECT ${carrierId}, unnest(${identity.recordIds}::text[]), unnest(${identity.recordDates}::date[]), unnest(${identity.revisions}::int4[]),
           unnest(${int8Array(records.map((r) => r.contentHash))}::int8[]), unnest(${int8Array(records.map((r) => r.partyHash))}::int8[]),
           generate_series(${lock.nextSequence}::int8, ${lock.nextSequence + BigInt(records.length - 1)}::int8),
           ${isoFromMicros(lock.ingestTime)}::timestamptz`.execute(tx);
  if (kind === UploadKind.CDRS) await insertCdrRows(tx, carrierId, lock, records, identity);
  else await insertDurationRows(tx, carrierId, lock, records, identity);
}

/** Whose records, and of which kind. */
interface AppendPlace {
  carrierId: string;
  kind: UploadKind;
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
  target: { carrierId: string; kind: UploadKind },
  judged: readonly JudgedBatch[],
  now: Micros,
): Promise<void> {
  const batches = judged.map(({ batch, verdicts }) => ({
    uploadId: batch.uploadId,
    firstOffset: batch.firstOffset,
    verdicts: Buffer.from(verdicts),
    hashes: hashesOf(batch.records),
  }));
  await insertUploadBatches(tx, target, batches, now);
  for (const [uploadId, parts] of Map.groupBy(judged, ({ batch }) => batch.uploadId)) {
    const upload = { ...target, uploadId };
    const counts = parts.map(({ verdicts }) => countVerdicts(verdicts)).reduce(addCounts);
    let connectedMs = 0n;
    for (const { batch } of parts) for (const record of batch.records) connectedMs += record.connectedDurationMs;
    const storedRejects = await insertRejects(tx, upload, parts.flatMap(rejectsOf), now);
    await countUpload(tx, upload, { counts, connectedMs, storedRejects }, now);
  }
}

function hashesOf(records: readonly AppendRecord[]): Buffer {
  const hashes = Buffer.allocUnsafe(records.length * 8);
  const view = new DataView(hashes.buffer, hashes.byteOffset, hashes.length);
  for (const [index, record] of records.entries()) view.setBigInt64(index * 8, record.contentHash);
  return hashes;
}

function rejectsOf({ batch, verdicts, issues }: JudgedBatch): RejectRow[] {
  const rejects: RejectRow[] = [];
  for (const [index, verdict] of verdicts.entries()) {
    if (verdict === Verdict.REJECTED || verdict === Verdict.QUARANTINED)
      rejects.push(batch.describe(index, verdict, issues[index] ?? 0));
  }
  return rejects;
}
