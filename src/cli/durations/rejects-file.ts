import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type { WriteStream } from "node:fs";
import { createWriteStream } from "node:fs";
import { access, rename, rm } from "node:fs/promises";
import { extname } from "node:path";
import { type RecordOutcome, Verdict } from "../../gen/tandem/type/v1/upload_pb.js";
import type { DurationsFile } from "./durations-file.ts";
import { DurationsFileError, type Reading } from "./formats/format.ts";

/** Files of rejects hold numbers: their owner alone reads them. */
const MODE = 0o600;

/** Where rejects go unless something else is said: beside the file, named by its content. */
export function rejectsPath(path: string, contentId: string): string {
  const extension = extname(path);
  return `${path.slice(0, path.length - extension.length)}.rejects-${contentId.slice(0, 8)}${extension}`;
}

/** Whether a mended file of rejects may be there already: it is never written over. */
export async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Whether a record has to be mended before it can be taken. */
export function isReject({ verdict }: RecordOutcome): boolean {
  return verdict === Verdict.REJECTED || verdict === Verdict.CONFLICT;
}

/** What became of the rows of the records that are asked for. */
export interface Places {
  /** The line that a record came from. */
  readonly lineOf: (offset: number) => number;
  /** How many rows were written to the file of rejects. */
  readonly rejectCount: number;
}

export interface PlacesOptions {
  readonly outcomes: readonly RecordOutcome[];
  /** Where the rows of rejects go, in the form of the file; beside it the reasons, in FILE.why. */
  readonly rejects: string | undefined;
  readonly signal: AbortSignal;
}

/** Reads the file once more, for the places of the outcomes, and writes what was refused. */
export async function findPlaces(file: DurationsFile, options: PlacesOptions): Promise<Places> {
  const { outcomes, rejects, signal } = options;
  const wanted = new Map(outcomes.map((outcome) => [Number(outcome.recordOffset), outcome]));
  let lastWanted = -1;
  for (const offset of wanted.keys()) lastWanted = Math.max(lastWanted, offset);
  const lines = new Map<number, number>();
  await using writer = rejects === undefined ? undefined : await RejectsWriter.open(rejects, await file.header());
  for await (const { reading, offset } of file.readings()) {
    signal.throwIfAborted();
    if (writer === undefined && (offset ?? -1) > lastWanted) break;
    const outcome = offset === undefined ? undefined : wanted.get(offset);
    if (offset !== undefined && outcome) lines.set(offset, reading.rows[0]?.line ?? 0);
    await writer?.see(reading, outcome);
  }
  await writer?.finish();
  return { lineOf: (offset) => lines.get(offset) ?? 0, rejectCount: writer?.count ?? 0 };
}

/** Writes beside the file's place first, so that it is there whole or not at all. */
class RejectsWriter implements AsyncDisposable {
  count = 0;
  readonly #path: string;
  readonly #draft: string;
  readonly #rows: WriteStream;
  readonly #reasons: WriteStream;

  private constructor(path: string) {
    this.#path = path;
    this.#draft = `${path}.${randomUUID()}`;
    this.#rows = createWriteStream(this.#draft, { mode: MODE, flags: "wx" });
    this.#reasons = createWriteStream(`${this.#draft}.why`, { mode: MODE, flags: "wx" });
  }

  static async open(path: string, header: string): Promise<RejectsWriter> {
    const writer = new RejectsWriter(path);
    await write(writer.#rows, header);
    return writer;
  }

  async see(reading: Reading, outcome: RecordOutcome | undefined): Promise<void> {
    const reasons = reasonsOf(reading, outcome);
    if (reasons.length === 0) return;
    this.count += reading.rows.length;
    for (const row of reading.rows) await write(this.#rows, row.raw);
    for (const reason of reasons) await write(this.#reasons, `${reason}\n`);
  }

  async finish(): Promise<void> {
    await Promise.all([this.#rows, this.#reasons].map(end));
    if (this.count === 0) return;
    if (await isThere(this.#path)) throw new DurationsFileError(`${this.#path} is there already: it is left as it is`);
    await rename(`${this.#draft}.why`, `${this.#path}.why`);
    await rename(this.#draft, this.#path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#rows.destroy();
    this.#reasons.destroy();
    await rm(this.#draft, { force: true });
    await rm(`${this.#draft}.why`, { force: true });
  }
}

function reasonsOf(reading: Reading, outcome: RecordOutcome | undefined): string[] {
  if (reading.kind === "mistakes") return reading.mistakes.map(({ line, text }) => `line ${line}: ${text}`);
  if (outcome === undefined || !isReject(outcome)) return [];
  const { fieldPath, message } = outcome;
  return [`line ${reading.rows[0]?.line}: ${[fieldPath, message].filter(Boolean).join(": ")}`];
}

async function write(stream: WriteStream, text: string): Promise<void> {
  if (stream.errored) throw stream.errored;
  if (!stream.write(text)) await once(stream, "drain");
}

async function end(stream: WriteStream): Promise<void> {
  stream.end();
  if (!stream.writableFinished) await once(stream, "finish");
}
