import { sql } from "kysely";
import { addCounts, countVerdicts, type VerdictCounts } from "../../domain/calls/verdict.ts";
import { kindOfUpload, type RecordKind } from "../../domain/record-kind.ts";
import { readRows, type Tx } from "../database/run.ts";
import { MAX_STORED_REJECTS } from "../records/rejects.ts";
import { isUpload, type UploadKey } from "../records/upload-key.ts";
import type { StoredBatch } from "../records/uploads.ts";
import { readPage, type Verification } from "./verification.ts";

const UPLOAD_PAGE = 50;
const BATCH_PAGE = 500;
/** How long a sealed upload's verdicts are certain to be kept, days. */
const KEPT_DAYS = 30;

interface VerifiedUpload extends VerdictCounts {
  kind: RecordKind;
  uploadId: string;
  nextOffset: bigint;
  storedRejects: number;
  rejectRows: number;
  forgotten: boolean;
}

type UploadPlace = { readonly kind: RecordKind | undefined; readonly uploadId: string };

/** Every upload's totals and offsets match its stored verdicts and rejects. */
export async function verifyUploads(verification: Verification): Promise<void> {
  let after: UploadPlace = { kind: undefined, uploadId: "" };
  while (true) {
    const uploads = await readPage(verification, (tx) => readUploads(tx, verification.carrierId, after));
    for (const upload of uploads) if (!upload.forgotten) await verifyUpload(verification, upload);
    const last = uploads.at(-1);
    if (!last || uploads.length < UPLOAD_PAGE) return;
    after = last;
  }
}

async function readUploads(tx: Tx, carrierId: string, after: UploadPlace): Promise<VerifiedUpload[]> {
  const counts = [...Object.keys(countVerdicts([])), "stored_rejects"].map(
    (name) => sql`${sql.ref(`u.${name}`)}::float8`,
  );
  const rows = await readRows(tx)<Omit<VerifiedUpload, "kind"> & { kind: number }>`
    SELECT u.kind, u.upload_id, u.next_offset, ${sql.join(counts)},
      u.sealed AND u.seal_time < clock_timestamp() - make_interval(days => ${KEPT_DAYS}) AS forgotten,
      (SELECT count(*)::float8 FROM upload_reject r WHERE r.carrier_id = ${carrierId} AND r.kind = u.kind AND r.upload_id = u.upload_id) AS reject_rows
    FROM upload u WHERE u.carrier_id = ${carrierId} AND (u.kind, u.upload_id) > (${after.kind?.upload ?? 0}::int2, ${after.uploadId})
    ORDER BY u.kind, u.upload_id LIMIT ${UPLOAD_PAGE}`;
  return rows.map((row) => ({ ...row, kind: kindOfUpload(row.kind) }));
}

async function verifyUpload(verification: Verification, upload: VerifiedUpload): Promise<void> {
  const { report } = verification;
  const name = `upload ${upload.uploadId} of kind ${upload.kind.upload}`;
  const { counts, end } = await countBatches(verification, upload, name);
  if (end !== upload.nextOffset)
    report("UPLOAD_OFFSETS", `${name}: its verdicts end at ${end}, it is committed to ${upload.nextOffset}`);
  for (const verdict of Object.keys(counts) as (keyof VerdictCounts)[]) {
    if (counts[verdict] !== upload[verdict])
      report("UPLOAD_TOTALS", `${name}: counts ${upload[verdict]} ${verdict}, stores ${counts[verdict]}`);
  }
  // At least: old uploads have no kept duplicates and warnings. Half of the room is never theirs.
  const owed = Math.min(counts.rejected + counts.quarantined, MAX_STORED_REJECTS / 2);
  const isWithin = owed <= upload.storedRejects && upload.storedRejects <= MAX_STORED_REJECTS;
  if (upload.rejectRows !== upload.storedRejects || !isWithin)
    report(
      "UPLOAD_TOTALS",
      `${name}: counts ${upload.storedRejects} rejects in detail, stores ${upload.rejectRows}, owes ${owed} or more`,
    );
}

// By key from the last page's end: a search by offset would begin with the upload each time.
function readBatchesFrom(tx: Tx, key: UploadKey, from: bigint, end: bigint): Promise<StoredBatch[]> {
  return readRows(tx)<StoredBatch>`
    SELECT first_offset, verdicts, hashes FROM upload_batch
    WHERE ${isUpload(key)} AND first_offset >= ${from} AND first_offset < ${end} ORDER BY first_offset LIMIT ${BATCH_PAGE}`;
}

// Batches below the committed offset never change.
async function countBatches(verification: Verification, upload: VerifiedUpload, name: string) {
  const { carrierId, report } = verification;
  let counts = countVerdicts([]);
  let end = 0n;
  while (end < upload.nextOffset) {
    const from = end;
    const batches = await readPage(verification, (tx) =>
      readBatchesFrom(tx, { carrierId, ...upload }, from, upload.nextOffset),
    );
    for (const { firstOffset, verdicts, hashes } of batches) {
      if (firstOffset !== end || hashes.length !== verdicts.length * 8)
        report(
          "UPLOAD_OFFSETS",
          `${name}: ${verdicts.length} verdicts and ${hashes.length} bytes of hashes at ${firstOffset}, due at ${end}`,
        );
      counts = addCounts(counts, countVerdicts(verdicts));
      end = firstOffset + BigInt(verdicts.length);
    }
    if (batches.length === 0) break;
  }
  return { counts, end };
}
