import { open } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { ErasedNumber } from "../domain/privacy/erased-number.ts";
import type { ErasureScope } from "../domain/privacy/erasure.ts";
import { makeFolder, readLines, syncFolder } from "../files/files.ts";
import type { ErasureKey } from "./key-file.ts";

/** Bytes; an entry has about 600. */
export const MAX_JOURNAL_BYTES = 256 * 1_048_576;

/** The whole request, so that it can be repeated in a database that never saw it. */
const Entry = z.object({
  erasureId: z.string(),
  requestId: z.string(),
  phoneNumber: z.string(),
  start: z.string(),
  end: z.string(),
  role: z.number(),
  caseReference: z.string(),
  verifiedBy: z.string(),
  requestedBy: z.string(),
  createTime: z.string(),
});

/** Times are microseconds since 1970, as text. */
export type JournalEntry = z.output<typeof Entry>;

export interface SealedEntry {
  readonly erasureId: string;
  readonly sealed: Buffer;
}

/**
 * A file outside the database, for all processes: a restored database learns of erasures from it.
 */
export class ErasureJournal {
  readonly #path: string;
  readonly #key: ErasureKey;

  constructor(path: string, key: ErasureKey) {
    this.#path = path;
    this.#key = key;
  }

  seal(entry: JournalEntry): SealedEntry {
    return { erasureId: entry.erasureId, sealed: this.#key.encrypt(entry.erasureId, JSON.stringify(entry)) };
  }

  /** Throws when the entry was encrypted with another key. */
  unseal({ erasureId, sealed }: SealedEntry): JournalEntry {
    try {
      return Entry.parse(JSON.parse(this.#key.decrypt(erasureId, sealed)));
    } catch (cause) {
      throw new Error(`the entry of erasure ${erasureId} cannot be read: it was changed, or written with another key`, {
        cause,
      });
    }
  }

  scopeOf(entry: SealedEntry): ErasureScope {
    const { erasureId, phoneNumber, start, end, role } = this.unseal(entry);
    return { erasureId, number: new ErasedNumber(phoneNumber), start: BigInt(start), end: BigInt(end), role };
  }

  /** Resolves when the entry is on disk. */
  append({ erasureId, sealed }: SealedEntry): Promise<void> {
    return this.#append({ erasureId, sealed: sealed.toString("base64") });
  }

  /** Names the file, so that it is known after a move or a copy. */
  setName(name: string): Promise<void> {
    return this.#append({ journal: name });
  }

  async #append(entry: object): Promise<void> {
    await makeFolder(dirname(this.#path));
    const file = await open(this.#path, "a+", 0o600);
    try {
      const { size } = await file.stat();
      // A line cut off by a crash must not swallow this one.
      const last = size === 0 ? "\n" : (await file.read(Buffer.alloc(1), 0, 1, size - 1)).buffer.toString();
      const line = `${JSON.stringify(entry)}\n`;
      await file.appendFile(last === "\n" ? line : `\n${line}`);
      await file.sync();
    } finally {
      await file.close();
    }
    await syncFolder(dirname(this.#path));
  }

  /** All entries in order, without a line that a crash cut off: its request was never answered. */
  read(): Promise<SealedEntry[]> {
    return ErasureJournal.readEntries(this.#path);
  }

  /** All entries of a file, under any key. */
  static async readEntries(path: string): Promise<SealedEntry[]> {
    return (await readLines(path, MAX_JOURNAL_BYTES)).flatMap((line) => parseLine(line) ?? []);
  }

  /** The file's names, the newest last. */
  async readNames(): Promise<string[]> {
    return (await readLines(this.#path, MAX_JOURNAL_BYTES)).flatMap((line) => parseName(line) ?? []);
  }
}

const Line = z.object({ erasureId: z.string(), sealed: z.base64() });

function parseLine(line: string): SealedEntry | undefined {
  try {
    const { erasureId, sealed } = Line.parse(JSON.parse(line));
    return { erasureId, sealed: Buffer.from(sealed, "base64") };
  } catch {
    return undefined;
  }
}

// Older versions skip such a line like one that was cut off.
const NameLine = z.object({ journal: z.string() });

function parseName(line: string): string | undefined {
  try {
    return NameLine.parse(JSON.parse(line)).journal;
  } catch {
    return undefined;
  }
}
