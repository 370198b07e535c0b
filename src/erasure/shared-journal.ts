import { randomUUID } from "node:crypto";
import { type Database, systemTransaction } from "../store/database/database.ts";
import { agreeOnSharedFile, readSharedFiles, type SharedFile } from "../store/database/shared-files.ts";
import { readErasureEntries } from "../store/privacy/erasures.ts";
import { ErasureJournal } from "./journal.ts";
import { type ErasureKey, makeErasureKey, parseErasureKey, readErasureKey } from "./key-file.ts";

export interface ErasureFiles {
  readonly erasureJournal: string;
  readonly erasureKeyFile: string;
}

export interface SharedJournal {
  readonly journal: ErasureJournal;
  /** Throws when the key file no longer holds the key in use; undefined: the file is gone. */
  readonly assertSameKey: (content: Buffer | undefined) => void;
}

const PAGE = 1_000;
const SERVED = "the processes on this database";
const ADOPT = "stop every process and run `tandem keys adopt`, which makes";

/**
 * Opens the journal and its key. The database keeps the fingerprints of the first ones, so all
 * processes must use the same.
 * @throws Error naming the setting, the file and the remedy.
 */
export async function openSharedJournal(db: Database, files: ErasureFiles): Promise<SharedJournal> {
  const known = await systemTransaction(db, readSharedFiles);
  const key = await openKey(db, files, known.get("erasure-key"));
  const journal = new ErasureJournal(files.erasureJournal, key);
  await agreeOnJournal(db, journal, files, known.get("erasure-journal"));
  return {
    journal,
    assertSameKey: (content) => {
      if (!content) throw new Error("it is gone, but no process starts without it: put it back");
      const found = parseErasureKey(files.erasureKeyFile, content.toString("utf8"));
      if (found.fingerprint !== key.fingerprint) throw anotherKey(files, found, key.fingerprint);
    },
  };
}

/**
 * Fingerprints for `tandem keys adopt`; missing files have none.
 * @throws Error when the key cannot read erasures in the database.
 */
export async function fingerprintErasureFiles(db: Database, files: ErasureFiles): Promise<Map<SharedFile, string>> {
  const found = new Map<SharedFile, string>();
  const key = await readErasureKey(files.erasureKeyFile);
  if (!key) {
    if (await hasEntries(db, files)) throw missingKey(files);
    return found;
  }
  await assertReadsAll(db, files, key);
  found.set("erasure-key", key.fingerprint);
  const name = (await new ErasureJournal(files.erasureJournal, key).readNames()).at(-1);
  if (name !== undefined) found.set("erasure-journal", name);
  return found;
}

/**
 * Checks the journal and its key as `openSharedJournal` does, and makes nothing. False: no process
 * has made them yet.
 * @throws Error naming the setting, the file and the remedy.
 */
export async function checkSharedJournal(db: Database, files: ErasureFiles): Promise<boolean> {
  const known = await systemTransaction(db, readSharedFiles);
  const shared = known.get("erasure-key");
  const key = await readErasureKey(files.erasureKeyFile);
  if (!key) {
    if (shared !== undefined || (await hasEntries(db, files))) throw missingKey(files);
    return false;
  }
  if (shared !== undefined && shared !== key.fingerprint) throw anotherKey(files, key, shared);
  await assertReadsAll(db, files, key);
  const journal = known.get("erasure-journal");
  const names = await new ErasureJournal(files.erasureJournal, key).readNames();
  if (journal !== undefined && !names.includes(journal)) throw anotherJournal(files.erasureJournal, names, journal);
  return true;
}

async function openKey(db: Database, files: ErasureFiles, known: string | undefined): Promise<ErasureKey> {
  const found = await readErasureKey(files.erasureKeyFile);
  if (!found && (known !== undefined || (await hasEntries(db, files)))) throw missingKey(files);
  const key = found ?? (await makeErasureKey(files.erasureKeyFile));
  // Whoever registers the key first must have the one that was used before.
  if (known === undefined) await assertReadsAll(db, files, key);
  const shared = known ?? (await agreeOnSharedFile(db, "erasure-key", key.fingerprint));
  if (shared !== key.fingerprint) throw anotherKey(files, key, shared);
  return key;
}

async function agreeOnJournal(
  db: Database,
  journal: ErasureJournal,
  { erasureJournal: path }: ErasureFiles,
  known: string | undefined,
): Promise<void> {
  const names = await journal.readNames();
  if (known !== undefined) {
    if (!names.includes(known)) throw anotherJournal(path, names, known);
    return;
  }
  const name = names.at(-1) ?? randomUUID();
  if (names.length === 0) await journal.setName(name);
  const shared = await agreeOnSharedFile(db, "erasure-journal", name);
  // Another process may have named the same file first.
  const allNames = await journal.readNames();
  if (!allNames.includes(shared)) throw anotherJournal(path, allNames, shared);
}

async function hasEntries(db: Database, { erasureJournal }: ErasureFiles): Promise<boolean> {
  const known = await systemTransaction(db, (tx) => readErasureEntries(tx, "", 1));
  return known.length > 0 || (await ErasureJournal.readEntries(erasureJournal)).length > 0;
}

async function assertReadsAll(db: Database, { erasureJournal, erasureKeyFile }: ErasureFiles, key: ErasureKey) {
  const journal = new ErasureJournal(erasureJournal, key);
  let after: string | undefined = "";
  while (after !== undefined) {
    const from: string = after;
    const entries = await systemTransaction(db, (tx) => readErasureEntries(tx, from, PAGE));
    try {
      for (const entry of entries) journal.unseal(entry);
    } catch (cause) {
      throw new Error(
        `TANDEM_ERASURE_KEY_FILE: ${erasureKeyFile} holds key ${key.fingerprint}, which cannot read earlier erasures: ` +
          "put the key there that they were written with, or name its file in the setting",
        { cause },
      );
    }
    after = entries.at(-1)?.erasureId;
  }
}

function missingKey({ erasureKeyFile }: ErasureFiles): Error {
  return new Error(
    `TANDEM_ERASURE_KEY_FILE: the key of the erasure journal, ${erasureKeyFile}, is missing, and ${SERVED} share one key: ` +
      "copy it from a process that has it, or name its file in the setting. " +
      `If it is lost, and no erasure needs it, ${ADOPT} room for a new one`,
  );
}

function anotherKey({ erasureKeyFile }: ErasureFiles, found: ErasureKey, shared: string): Error {
  return new Error(
    `TANDEM_ERASURE_KEY_FILE: ${erasureKeyFile} holds key ${found.fingerprint}, and ${SERVED} share key ${shared}: ` +
      "copy it from a process that has it, or name its file in the setting. " +
      `If it is lost, and no erasure needs it, ${ADOPT} this one the key of all`,
  );
}

function anotherJournal(path: string, names: readonly string[], shared: string): Error {
  const found = names.length === 0 ? "is missing or new" : `is journal ${names.at(-1)}`;
  return new Error(
    `TANDEM_ERASURE_JOURNAL: ${path} ${found}, and ${SERVED} share journal ${shared}: ` +
      "name the file that they use, on a file system that all share. " +
      `If it is lost, ${ADOPT} this one the journal of all; the database has what was in it`,
  );
}
