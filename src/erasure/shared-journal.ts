import { randomUUID } from "node:crypto";
import { type Database, systemTransaction } from "../store/database/database.ts";
import { agreeOnSharedFile, readSharedFiles, type SharedFile } from "../store/database/shared-files.ts";
import { readErasureEntries } from "../store/privacy/erasures.ts";
import { ErasureJournal } from "./journal.ts";
import { type ErasureKey, makeErasureKey, parseErasureKey, readErasureKey } from "./key-file.ts";

/** Where the journal of erasures and its key are. */
export interface ErasureFiles {
  readonly erasureJournal: string;
  readonly erasureKeyFile: string;
}

/** The journal that all processes on a database share. */
export interface SharedJournal {
  readonly journal: ErasureJournal;
  /**
   * Throws when the contents of the key file, undefined where it is gone, are not the key in use.
   */
  readonly assertSameKey: (content: Buffer | undefined) => void;
}

const PAGE = 1_000;
const SERVED = "the processes on this database";
const ADOPT = "with every process stopped, `tandem keys adopt` makes";

/**
 * Opens the journal of erasures and its key. The first process on a database makes them, and the
 * database keeps by what they are known. What is erased at one process must be readable at every
 * other, which writes records too, and after a restore.
 * @throws Error that names the setting, the file and what to do, when they are not those that the
 *   others have.
 */
export async function openSharedJournal(db: Database, files: ErasureFiles): Promise<SharedJournal> {
  const known = await systemTransaction(db, readSharedFiles);
  const key = await openKey(db, files, known.get("erasure-key"));
  const journal = new ErasureJournal(files.erasureJournal, key);
  await agreeOnJournal(db, journal, files, known.get("erasure-journal"));
  return {
    journal,
    assertSameKey: (content) => {
      if (!content) throw new Error("it is gone, and without it no process starts: put it back");
      const found = parseErasureKey(files.erasureKeyFile, content.toString("utf8"));
      if (found.fingerprint !== key.fingerprint) throw anotherKey(files, found, key.fingerprint);
    },
  };
}

/**
 * By what the journal and its key are known, for `tandem keys adopt`. What is not there has no
 * fingerprint: the next process makes it.
 * @throws Error when the database has erasures that the key here cannot read.
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

async function openKey(db: Database, files: ErasureFiles, known: string | undefined): Promise<ErasureKey> {
  const found = await readErasureKey(files.erasureKeyFile);
  if (!found && (known !== undefined || (await hasEntries(db, files)))) throw missingKey(files);
  const key = found ?? (await makeErasureKey(files.erasureKeyFile));
  // The first to say which key it is must have the one that was used before this was kept.
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
  // Another process may have been first, and may have named the same file.
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
        `TANDEM_ERASURE_KEY_FILE: ${erasureKeyFile} holds key ${key.fingerprint}, which cannot read what was erased before: ` +
          "put the key there under which that was written, or name its file with the setting",
        { cause },
      );
    }
    after = entries.at(-1)?.erasureId;
  }
}

function missingKey({ erasureKeyFile }: ErasureFiles): Error {
  return new Error(
    `TANDEM_ERASURE_KEY_FILE: the key of the erasure journal, ${erasureKeyFile}, is missing, and ${SERVED} share one key: ` +
      "copy it from a process that has it, or name its file with the setting. " +
      `If it is lost, and no erasure needs it, ${ADOPT} room for a new one`,
  );
}

function anotherKey({ erasureKeyFile }: ErasureFiles, found: ErasureKey, shared: string): Error {
  return new Error(
    `TANDEM_ERASURE_KEY_FILE: ${erasureKeyFile} holds key ${found.fingerprint}, and ${SERVED} share key ${shared}: ` +
      "copy it from a process that has it, or name its file with the setting. " +
      `If it is lost, and no erasure needs it, ${ADOPT} this one the key of all`,
  );
}

function anotherJournal(path: string, names: readonly string[], shared: string): Error {
  const found = names.length === 0 ? "is missing or new" : `is journal ${names.at(-1)}`;
  return new Error(
    `TANDEM_ERASURE_JOURNAL: ${path} ${found}, and ${SERVED} share journal ${shared}: ` +
      "name the file that they write, on a file system that all have. " +
      `If it is lost, ${ADOPT} this one the journal of all; the database has what was in it`,
  );
}
