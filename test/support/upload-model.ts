import type { AsyncCommand } from "fast-check";
import { expect } from "vitest";
import type { TandemTransport } from "../../src/client/transport.ts";
import { Verdict } from "../../src/gen/tandem/type/v1/upload_pb.js";
import { rotateEpochs } from "../../src/store/feeds/epochs.ts";
import { backUpCarrier, restoreCarrier } from "./backup.ts";
import type { Exchange } from "./exchange.ts";
import { EVENTUALLY_MS } from "./limits.ts";
import { pace } from "./pace.ts";
import type { CommitFault, PostgresProxy } from "./postgres-proxy.ts";
import { connectedMsOf, type RecordSpec, type TestedUpload } from "./upload-kinds.ts";
import { query } from "./upload-store.ts";
import { UploadStream } from "./upload-stream.ts";

/** How many records the source has. */
export const SOURCE_RECORDS = 400;

/**
 * What a client may believe, and nothing of how the server does it: between `told` and `sent` the
 * server may stand anywhere, below `told` it must not.
 */
export interface UploadModel {
  /** Which upload of the source this is: after UPLOAD_HISTORY_LOST a new one begins. */
  upload: number;
  /** The highest committed offset that was ever told. */
  told: number;
  /** One past the highest offset that was ever sent. */
  sent: number;
  isOpen: Record<ClientName, boolean>;
  /** Who may write. */
  lastOpener: ClientName | undefined;
  hasBackup: boolean;
  /** A restore has happened since the upload was opened last, so that what was told may be gone. */
  isRestored: boolean;
  restores: number;
}

export type ClientName = "a" | "b";

/** The real thing: two processes on one database, by way of a proxy, and a client at each. */
export interface UploadReality {
  readonly exchange: Exchange;
  readonly proxy: PostgresProxy;
  readonly upload: TestedUpload;
  readonly carrierId: string;
  readonly transports: Record<ClientName, TandemTransport>;
  readonly clients: Partial<Record<ClientName, ModelClient>>;
  /**
   * The stored verdicts of each upload as they were seen last: they may be added to, and never
   * change.
   */
  readonly verdicts: Map<string, Buffer>;
  /** Why calls ended that nobody cut. */
  readonly endings: string[];
}

export function newModel(): UploadModel {
  return {
    upload: 0,
    told: 0,
    sent: 0,
    isOpen: { a: false, b: false },
    lastOpener: undefined,
    hasBackup: false,
    isRestored: false,
    restores: 0,
  };
}

/**
 * The record at an offset: mostly good; some are bad, some the same as the one before, some
 * contradict the one before it.
 */
export function sourceRecord(offset: number): RecordSpec {
  const plain = { id: `r${offset}`, connectedMs: 1_000 + offset };
  if (offset % 7 === 3) return { ...plain, isBroken: true };
  if (offset % 11 === 5 && isPlain(offset - 1)) return sourceRecord(offset - 1);
  if (offset % 13 === 6 && isPlain(offset - 2)) return { ...sourceRecord(offset - 2), connectedMs: 5 };
  return plain;
}

/** The ids that must be in the feed once all of the source is uploaded: each once. */
export function expectedIds(): string[] {
  return Array.from({ length: SOURCE_RECORDS }, (_, offset) => offset)
    .filter(isPlain)
    .map((offset) => `r${offset}`);
}

// Good, and the first with its id.
function isPlain(offset: number): boolean {
  if (offset < 0) return false;
  const { id, isBroken } = sourceRecord(offset);
  return id === `r${offset}` && !isBroken;
}

export function sourceBatch(first: number, end: number): RecordSpec[] {
  return Array.from({ length: Math.max(0, end - first) }, (_, index) => sourceRecord(first + index));
}

/** One connection, with what its client knows of it. */
export class ModelClient {
  readonly stream: UploadStream;
  /** Where its next batch begins. */
  position: number;
  /** The server has asked for records again and takes nothing until a batch begins there. */
  isRewound = false;
  #read = 0;
  #lastAck: number;
  #lastLimit = 0n;

  constructor(stream: UploadStream, committedOffset: number) {
    this.stream = stream;
    this.position = this.#lastAck = committedOffset;
  }

  /**
   * Takes what has come since it looked last. @returns whether the server asked for records again.
   */
  absorb(model: UploadModel): boolean {
    let isRewound = false;
    for (const frame of this.stream.frames.slice(this.#read)) {
      this.#read++;
      if (frame.case === "ack") {
        const committed = Number(frame.value.committedOffset);
        expect(committed, "an Ack goes back").toBeGreaterThanOrEqual(this.#lastAck);
        expect(committed, "an Ack is ahead of what was sent").toBeLessThanOrEqual(model.sent);
        expect(frame.value.sendLimitOffset >= this.#lastLimit, "the credit falls").toBe(true);
        for (const { recordOffset, verdict } of frame.value.outcomes) checkVerdict(Number(recordOffset), verdict);
        this.#lastAck = committed;
        this.#lastLimit = frame.value.sendLimitOffset;
        model.told = Math.max(model.told, committed);
      }
      if (frame.case === "rewind") {
        this.position = Number(frame.value.expectedOffset);
        this.isRewound = true;
        expect(this.position, "a Rewind is ahead of what was sent").toBeLessThanOrEqual(model.sent);
        isRewound = true;
      }
    }
    return isRewound;
  }

  /** @returns whether there will be an answer. */
  send(model: UploadModel, first: number, end: number): boolean {
    this.stream.batch(first, sourceBatch(first, end));
    model.sent = Math.max(model.sent, end);
    if (this.isRewound && first !== this.position) return false;
    this.isRewound = false;
    // What is sent behind a gap is discarded.
    if (first <= this.position) this.position = Math.max(this.position, end);
    return true;
  }

  /**
   * Waits until what was sent is acknowledged, or the server wants it again, or the call has ended.
   */
  async settle(model: UploadModel, offset: number): Promise<"acknowledged" | "rewound" | "ended"> {
    let ended = false;
    void this.stream.ended.then(() => {
      ended = true;
    });
    return await expectSoon(() => {
      if (this.absorb(model)) return "rewound";
      if (this.#lastAck >= offset) return "acknowledged";
      return ended ? "ended" : undefined;
    });
  }
}

// What a record is can be seen by itself; whether it was there before depends on what came before.
function checkVerdict(offset: number, verdict: Verdict): void {
  const { isBroken } = sourceRecord(offset);
  if (isBroken) expect(verdict).toBe(Verdict.REJECTED);
  else expect([Verdict.DUPLICATE, Verdict.CONFLICT]).toContain(verdict);
}

async function expectSoon<T>(look: () => T | undefined): Promise<T> {
  const startMs = performance.now();
  while (true) {
    const found = look();
    if (found !== undefined) return found;
    if (performance.now() - startMs > EVENTUALLY_MS)
      throw new Error("waited in vain for an Ack, a Rewind or the end of the call");
    await pace(5);
  }
}

export type UploadCommand = AsyncCommand<UploadModel, UploadReality, true>;

/**
 * Opens the upload, fencing whoever had it. After UPLOAD_HISTORY_LOST, opens a new one in its
 * place, as a client must.
 */
export class OpenUpload implements UploadCommand {
  readonly client: ClientName;
  constructor(client: ClientName) {
    this.client = client;
  }
  check = async () => true;
  async run(model: UploadModel, real: UploadReality): Promise<void> {
    await openAs(model, real, this.client);
  }
  toString = () => `open(${this.client})`;
}

export async function openAs(model: UploadModel, real: UploadReality, name: ClientName): Promise<ModelClient> {
  for (const client of Object.values(real.clients)) client.absorb(model);
  for (let attempt = 0; attempt < 50; attempt++) {
    const stream = await UploadStream.open(real.exchange, real.upload, real.carrierId, {
      uploadId: uploadIdOf(model),
      acknowledgedOffset: BigInt(model.told),
      transport: real.transports[name],
    });
    const opened = await stream.next("opened").catch(() => undefined);
    if (opened) {
      const committed = Number(opened.committedOffset);
      if (!model.isRestored) expect(committed, "a step back").toBeGreaterThanOrEqual(model.told);
      expect(committed, "committed, but never sent").toBeLessThanOrEqual(model.sent);
      real.clients[name]?.stream.cut();
      const client = new ModelClient(stream, committed);
      real.clients[name] = client;
      Object.assign(model, { told: committed, isRestored: false, lastOpener: name });
      model.isOpen[name] = true;
      return client;
    }
    const { reason } = await stream.failure();
    if (reason === "UPLOAD_HISTORY_LOST") {
      expect(model.isRestored, "history was lost without a restore").toBe(true);
      Object.assign(model, { upload: model.upload + 1, told: 0, sent: 0 });
    } else expect(["STORE_UNAVAILABLE", "TOO_MANY_STREAMS"]).toContain(reason);
  }
  throw new Error("the upload could not be opened");
}

/**
 * Sends a batch, which may overlap what was sent or leave a gap; and waits for the answer, or does
 * not.
 */
export class SendBatch implements UploadCommand {
  readonly client: ClientName;
  readonly shift: number;
  readonly count: number;
  readonly waits: boolean;
  constructor(client: ClientName, shift: number, count: number, waits: boolean) {
    this.client = client;
    this.shift = shift;
    this.count = count;
    this.waits = waits;
  }
  check = async (model: Readonly<UploadModel>) => model.isOpen[this.client];
  async run(model: UploadModel, real: UploadReality): Promise<void> {
    const client = real.clients[this.client];
    if (!client) return;
    client.absorb(model);
    const position = client.position;
    const first = Math.min(Math.max(0, position + this.shift), SOURCE_RECORDS - 1);
    const end = Math.min(first + this.count, SOURCE_RECORDS);
    if (!client.send(model, first, end) || !this.waits) return;
    if ((await client.settle(model, Math.max(end, 1))) === "ended") await endedAs(model, real, this.client);
    await checkStored(model, real);
  }
  toString = () => `send(${this.client}, shift ${this.shift}, ${this.count}${this.waits ? ", waits" : ""})`;
}

/**
 * Why a call may end that nobody cut: the other client opened the upload, the store failed, or a
 * restore took it away.
 */
async function endedAs(model: UploadModel, real: UploadReality, name: ClientName): Promise<void> {
  const client = real.clients[name];
  if (!client) return;
  const { reason } = await client.stream.ended;
  expect(["UPLOAD_SUPERSEDED", "STORE_UNAVAILABLE", "UPLOAD_HISTORY_LOST"]).toContain(reason);
  if (reason === "UPLOAD_HISTORY_LOST") expect(model.restores).toBeGreaterThan(0);
  // Whoever is told so leaves the upload to the other: told to the last who opened it, it would
  // strand what is left.
  if (reason === "UPLOAD_SUPERSEDED") expect(model.lastOpener).not.toBe(name);
  real.endings.push(reason ?? "");
  client.absorb(model);
  delete real.clients[name];
  model.isOpen[name] = false;
}

export class CutConnection implements UploadCommand {
  readonly client: ClientName;
  constructor(client: ClientName) {
    this.client = client;
  }
  check = async (model: Readonly<UploadModel>) => model.isOpen[this.client];
  async run(model: UploadModel, real: UploadReality): Promise<void> {
    real.clients[this.client]?.absorb(model);
    real.clients[this.client]?.stream.cut();
    delete real.clients[this.client];
    model.isOpen[this.client] = false;
  }
  toString = () => `cut(${this.client})`;
}

/** The database is lost to the next commit, before it, behind it or in its midst. */
export class CrashAtCommit implements UploadCommand {
  readonly fault: CommitFault;
  constructor(fault: CommitFault) {
    this.fault = fault;
  }
  check = async () => true;
  run = async (_: UploadModel, { proxy }: UploadReality) => proxy.arm(this.fault);
  toString = () => `crash(${this.fault})`;
}

/** Every connection to the database breaks, wherever its transaction is. */
export class LoseDatabase implements UploadCommand {
  check = async () => true;
  run = async (_: UploadModel, { proxy }: UploadReality) => proxy.cutAll();
  toString = () => "loseDatabase";
}

export class TakeBackup implements UploadCommand {
  check = async () => true;
  async run(model: UploadModel, { exchange, carrierId }: UploadReality): Promise<void> {
    await backUpCarrier(exchange.databaseUrl, carrierId);
    model.hasBackup = true;
  }
  toString = () => "backup";
}

/**
 * The backup is put back beneath live connections, and the epochs are rotated, as the last step of
 * every restore.
 */
export class RestoreBackup implements UploadCommand {
  check = async (model: Readonly<UploadModel>) => model.hasBackup;
  async run(model: UploadModel, real: UploadReality): Promise<void> {
    await restoreCarrier(real.exchange.databaseUrl, real.carrierId);
    await rotateEpochs(real.exchange.services.db, "test");
    real.verdicts.clear();
    model.isRestored = true;
    model.restores++;
  }
  toString = () => "restore";
}

/** What was told is stored, and no stored verdict has changed. */
export async function checkStored(model: UploadModel, real: UploadReality): Promise<void> {
  const rows = await query<{ upload_id: string; verdicts: Buffer }>(
    real.exchange,
    `SELECT upload_id, string_agg(verdicts, '' ORDER BY first_offset) AS verdicts FROM upload_batch WHERE carrier_id = $1 GROUP BY upload_id`,
    [real.carrierId],
  );
  for (const { upload_id: uploadId, verdicts } of rows) {
    const before = real.verdicts.get(uploadId) ?? Buffer.alloc(0);
    expect(verdicts.subarray(0, before.length).equals(before), "a stored verdict has changed").toBe(true);
    real.verdicts.set(uploadId, verdicts);
    if (uploadId !== uploadIdOf(model) || model.isRestored) continue;
    expect(verdicts.length, "told to be committed, and is not stored").toBeGreaterThanOrEqual(model.told);
  }
}

export function uploadIdOf({ upload }: UploadModel): string {
  return `source-${upload}`;
}

/** Sends what is left of the source, comes back after every end, and finishes. */
export async function uploadTheRest(model: UploadModel, real: UploadReality): Promise<void> {
  real.proxy.disarm();
  for (let attempt = 0; attempt < 20; attempt++) {
    const client = await openAs(model, real, "a");
    while (client.position < SOURCE_RECORDS)
      client.send(model, client.position, Math.min(client.position + 50, SOURCE_RECORDS));
    const settled = await client.settle(model, SOURCE_RECORDS);
    if (settled !== "acknowledged") continue;
    const records = sourceBatch(0, SOURCE_RECORDS);
    client.stream.finish(records);
    await client.stream.ended;
    const last = client.stream.frames.at(-1);
    if (last?.case !== "finished") continue;
    expect(last.value.receipt?.totals).toMatchObject({
      recordCount: BigInt(SOURCE_RECORDS),
      connectedDurationMs: connectedMsOf(records),
    });
    return;
  }
  throw new Error("the upload could not be brought to its end");
}
