import { appendAuditEvent } from "../audit/audit-log.ts";
import { type Database, ownerTransaction } from "./database.ts";
import { readRows, run, type Tx } from "./run.ts";
import { countServing } from "./serving-processes.ts";

/** A file that lies beside the database, and has to be the same for every process on it. */
export type SharedFile = "erasure-key" | "erasure-journal" | "signing-key";

/** Reads the known fingerprints of the files that processes share. In a system transaction. */
export async function readSharedFiles(tx: Tx): Promise<Map<SharedFile, string>> {
  const rows = await readRows(tx)<{ file: SharedFile; fingerprint: string }>`SELECT file, fingerprint FROM shared_file`;
  return new Map(rows.map(({ file, fingerprint }) => [file, fingerprint]));
}

/**
 * Keeps a file's fingerprint, unless another process was first.
 * @returns its fingerprint from now on.
 */
export async function agreeOnSharedFile(db: Database, file: SharedFile, fingerprint: string): Promise<string> {
  return ownerTransaction(db, async (tx) => {
    await insertSharedFile(tx, file, fingerprint);
    return (await readSharedFiles(tx)).get(file) ?? fingerprint;
  });
}

/**
 * Replaces the fingerprints. For a file without one, the next process to start decides.
 * @param actor who does so, for the audit log.
 * @throws Error when processes still serve: they have the old files.
 */
export async function replaceSharedFiles(
  db: Database,
  fingerprints: ReadonlyMap<SharedFile, string>,
  actor: string,
): Promise<void> {
  await ownerTransaction(db, async (tx) => {
    const serving = await countServing(tx);
    if (serving > 0) {
      throw new Error(
        `${serving} processes still serve on this database: stop them first (a killed process counts for half a minute)`,
      );
    }
    await run(tx)`DELETE FROM shared_file`;
    for (const [file, fingerprint] of fingerprints) await insertSharedFile(tx, file, fingerprint);
    const details = Object.fromEntries(fingerprints);
    await appendAuditEvent(tx, { actor, method: "cli/keys adopt", resource: "shared files", details });
  });
}

async function insertSharedFile(tx: Tx, file: SharedFile, fingerprint: string): Promise<void> {
  await run(tx)`
    INSERT INTO shared_file (file, fingerprint, agree_time) VALUES (${file}, ${fingerprint}, clock_timestamp())
    ON CONFLICT DO NOTHING`;
}
