import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import type { UploadSource } from "../../client/upload-source.ts";
import type { CallDuration } from "../../gen/tandem/type/v1/call_duration_pb.js";
import {
  type DurationFormat,
  DurationsFileError,
  type FormatSettings,
  type Reading,
  type Row,
} from "./formats/format.ts";

const HEAD_BYTES = 65_536;
const MAX_MISTAKES = 20;
/** How many rows are read before others get their turn. */
const TURN_ROWS = 1_000;

/** What a first reading of a file found. */
export interface FileSurvey {
  readonly recordCount: number;
  /** How many lines no record could be made of, and the first 20 mistakes, by file and line. */
  readonly mistakes: { readonly lineCount: number; readonly told: readonly string[] };
  /** What was taken otherwise than it stands in the file, or left out, each once. */
  readonly remarks: readonly string[];
  /** The same for the same content read in the same way. */
  readonly contentId: string;
}

/** The beginning of a file, for guessing its format. */
export async function readHead(path: string): Promise<string> {
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
  return buffer.toString("utf8", 0, bytesRead);
}

/**
 * A file of call records. It is read as a stream, as often as needed, and never held as a whole; so
 * it must not change meanwhile.
 */
export class DurationsFile {
  readonly path: string;
  readonly format: DurationFormat;
  readonly #settings: FormatSettings;
  #identity: string | undefined;

  constructor(path: string, format: DurationFormat, settings: FormatSettings) {
    this.path = path;
    this.format = format;
    this.#settings = settings;
  }

  /**
   * Reads the file once, before anything is sent. Throws a `DurationsFileError` if it cannot be.
   */
  async survey(signal: AbortSignal, onRows: (count: number) => void): Promise<FileSurvey> {
    const hash = createHash("sha256");
    const passed = new Map<string, number>();
    const remarks = new Map<string, number>();
    const told: string[] = [];
    const wrong = { lineCount: 0 };
    let [recordCount, count] = [0, 0];
    const remark = (row: Row, text: string) => remarks.has(text) || remarks.set(text, row.line);
    for await (const reading of this.#readings({ hash, remark })) {
      if (++count % TURN_ROWS === 0) onRows(count);
      signal.throwIfAborted();
      if (reading.kind === "record") recordCount += 1;
      else if (reading.kind === "passed") passed.set(reading.why, (passed.get(reading.why) ?? 0) + 1);
      else {
        wrong.lineCount += reading.rows.length;
        const room = Math.max(0, MAX_MISTAKES - told.length);
        told.push(...reading.mistakes.slice(0, room).map(({ line, text }) => `${this.path}:${line}: ${text}`));
      }
    }
    const sayings = [
      ...[...remarks].map(([text, line]) => `${text} (first in ${this.path}:${line})`),
      ...[...passed].map(([why, rows]) => `${rows} passed over: ${why}.`),
    ];
    const contentId = this.#contentId(hash.digest("hex"));
    return { recordCount, mistakes: { ...wrong, told }, remarks: sayings, contentId };
  }

  /** The file's records. Reading goes on where it was, or begins anew to go back. */
  source(): UploadSource<CallDuration> & AsyncDisposable {
    return new FileSource(() => this.#records());
  }

  /** All readings in the order of the file, each record with its offset. */
  async *readings(): AsyncGenerator<{ reading: Reading; offset: number | undefined }> {
    let offset = 0;
    for await (const reading of this.#readings({}))
      yield { reading, offset: reading.kind === "record" ? offset++ : undefined };
  }

  /** The line of column names as it stands; empty when there is none. */
  async header(): Promise<string> {
    for await (const row of this.format.rows(this.#bytes())) return row.isHeader ? row.raw : "";
    return "";
  }

  async *#records(): AsyncGenerator<CallDuration> {
    for await (const reading of this.#readings({})) if (reading.kind === "record") yield reading.record;
  }

  async *#readings({ hash, remark = () => {} }: ReadingOptions): AsyncGenerator<Reading> {
    try {
      const reader = this.format.open(this.#settings, remark);
      for await (const row of this.format.rows(this.#bytes(hash))) yield* reader.take(row);
      yield* reader.end();
    } catch (error) {
      throw this.#blame(error);
    }
  }

  async *#bytes(hash?: Hash): AsyncGenerator<Uint8Array> {
    const { size, mtimeMs } = await stat(this.path);
    const identity = `${size} ${mtimeMs}`;
    this.#identity ??= identity;
    if (identity !== this.#identity)
      throw new DurationsFileError(`${this.path} was changed while it was read: copy it, and upload the copy`);
    for await (const chunk of createReadStream(this.path) as AsyncIterable<Buffer>) {
      hash?.update(chunk);
      yield chunk;
    }
  }

  #blame(error: unknown): DurationsFileError {
    if (error instanceof DurationsFileError && error.message.startsWith(this.path)) return error;
    const message = error instanceof Error ? error.message : `${error}`;
    const lined = /^line (\d+): (.*)$/s.exec(message);
    const place = lined ? `${this.path}:${lined[1]}: ${lined[2]}` : `${this.path}: ${message}`;
    return new DurationsFileError(place, { cause: error });
  }

  // Tandem's own columns are named by their content alone, as they were before there were others.
  #contentId(contentHash: string): string {
    const { numberOf, ...settings } = this.#settings;
    const isPlain = this.format.name === "tandem" && JSON.stringify(settings) === PLAIN;
    if (isPlain) return contentHash.slice(0, 16);
    const { name, edition } = this.format;
    const how = JSON.stringify([contentHash, name, edition, settings, [...numberOf]]);
    return createHash("sha256").update(how).digest("hex").slice(0, 16);
  }
}

/** What is said of a file of which the user says nothing. */
export const PLAIN_SETTINGS: FormatSettings = {
  timeZone: undefined,
  direction: undefined,
  directionRules: [],
  trunkId: undefined,
  recordPrefix: "",
  revision: undefined,
  start: "invite",
  numberOf: new Map(),
};

const PLAIN = JSON.stringify({ ...PLAIN_SETTINGS, numberOf: undefined });

interface ReadingOptions {
  readonly hash?: Hash;
  readonly remark?: (row: Row, text: string) => void;
}

/** Reads records one request at a time, each from where the last ended if it can. */
class FileSource implements UploadSource<CallDuration>, AsyncDisposable {
  readonly #begin: () => AsyncGenerator<CallDuration>;
  #records: AsyncGenerator<CallDuration> | undefined;
  #next = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(begin: () => AsyncGenerator<CallDuration>) {
    this.#begin = begin;
  }

  read(offset: number, limit: number, signal: AbortSignal): Promise<readonly CallDuration[]> {
    const mine = this.#last.then(() => this.#read(offset, limit, signal));
    this.#last = mine.catch(() => {});
    return mine;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last;
    await this.#records?.return(undefined);
  }

  async #read(offset: number, limit: number, signal: AbortSignal): Promise<readonly CallDuration[]> {
    signal.throwIfAborted();
    if (this.#records === undefined || offset < this.#next) await this.#rewind();
    const found: CallDuration[] = [];
    while (found.length < limit) {
      const { value, done } = (await this.#records?.next()) ?? { done: true };
      if (done) break;
      if (this.#next++ >= offset) found.push(value as CallDuration);
      signal.throwIfAborted();
    }
    return found;
  }

  async #rewind(): Promise<void> {
    await this.#records?.return(undefined);
    this.#records = this.#begin();
    this.#next = 0;
  }
}
