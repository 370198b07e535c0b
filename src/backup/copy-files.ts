import { createHash, type Hash } from "node:crypto";
import { type FileHandle, open, readdir, rm, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ifThere } from "../files/files.ts";

export interface CopiedFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface Copy {
  readonly from: string;
  readonly to: string;
  readonly signal: AbortSignal;
}

const CHUNK_BYTES = 1024 * 1024;
const AT_ONCE = 4;
/** Room for the log that is written meanwhile. */
const MARGIN_BYTES = 128 * 1024 * 1024;

/**
 * Copies a file to disk, readable by its owner only.
 * @returns its size and digest; undefined: no such file.
 */
export async function copyFile({ from, to, signal }: Copy): Promise<Omit<CopiedFile, "path"> | undefined> {
  const source = await ifThere(open(from, "r"));
  if (!source) return undefined;
  try {
    return await writeFileOf(to, async (target, hash) => {
      const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
      for (;;) {
        signal.throwIfAborted();
        const { bytesRead } = await source.read(buffer, 0, buffer.length);
        if (bytesRead === 0) return;
        await writeChunk(target, hash, buffer.subarray(0, bytesRead));
      }
    });
  } finally {
    await source.close();
  }
}

/** Writes a text like `copyFile`. */
export function writeText(to: string, text: string): Promise<Omit<CopiedFile, "path">> {
  return writeFileOf(to, (target, hash) => writeChunk(target, hash, Buffer.from(text)));
}

async function writeFileOf(
  to: string,
  write: (target: FileHandle, hash: Hash) => Promise<void>,
): Promise<Omit<CopiedFile, "path">> {
  const hash = createHash("sha256");
  const target = await open(to, "wx", 0o600);
  try {
    await write(target, hash);
    await target.sync();
    return { bytes: (await target.stat()).size, sha256: hash.digest("hex") };
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === "ENOSPC" ? noRoom(dirname(to), error as Error) : error;
  } finally {
    await target.close();
  }
}

async function writeChunk(target: FileHandle, hash: Hash, chunk: Buffer): Promise<void> {
  hash.update(chunk);
  for (let written = 0; written < chunk.length; )
    written += (await target.write(chunk, written, chunk.length - written)).bytesWritten;
}

/** Runs a few items at a time; the first failure ends it. */
export async function eachOf<T>(items: Iterable<T>, run: (item: T) => Promise<void>): Promise<void> {
  const rest = items[Symbol.iterator]();
  let failed = false;
  const work = async () => {
    for (let next = rest.next(); !next.done && !failed; next = rest.next()) {
      await run(next.value).catch((error: unknown) => {
        failed = true;
        throw error;
      });
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: AT_ONCE }, work));
  for (const end of ended) if (end.status === "rejected") throw end.reason;
}

/** @throws Error when the disk of an existing folder lacks room for so many bytes and a margin. */
export async function assertRoom(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const needed = bytes + MARGIN_BYTES;
  if (bavail * bsize < needed)
    throw noRoom(folder, undefined, `${toMiB(bavail * bsize)} MiB are free, ${toMiB(needed)} needed`);
}

function noRoom(folder: string, cause: Error | undefined, numbers = "the disk is full"): Error {
  return new Error(`no room in ${folder}: ${numbers}`, { cause });
}

export function toMiB(bytes: number): number {
  return Math.ceil(bytes / (1024 * 1024));
}

export async function emptyFolder(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true, force: true });
}
