import { setTimeout as wait } from "node:timers/promises";
import pg from "pg";
import type { FeedId } from "../../domain/feed-id.ts";
import { unlessAborted } from "../../domain/unless-aborted.ts";
import { every } from "../database/every.ts";

const CHANNEL = "tandem_heads";
/** Names the connection in pg_stat_activity, by which processes find each other. */
const APPLICATION_NAME = "tandem hints";
/** Least time between two messages of a process, milliseconds. */
const LEAST_GAP_MS = 5;
/** Most bytes of a message: PostgreSQL takes fewer than 8,000. */
const MOST_BYTES = 7_000;
/** Most feeds that wait for the next message. The poll tells of the others. */
const MOST_WAITING = 10_000;
/** How often a process looks whether others listen, milliseconds. */
const LOOK_MS = 5_000;
/** Longest wait for an answer, milliseconds. */
const ANSWER_MS = 5_000;
/** Before a lost connection is opened again, milliseconds. */
const RETRY_MS = 1_000;

/** A feed's head as the process saw it that committed. */
export interface HeadHint {
  readonly carrierId: string;
  readonly feed: FeedId;
  readonly headSequence: bigint;
}

export interface HeadHintsOptions {
  /** Past any pooler: a connection must stay with its server process. */
  readonly url: string;
  readonly onHint: (hint: HeadHint) => void;
  /** The address leads through a pooler, which cannot pass hints on. They are given up. */
  readonly onPooled: () => void;
  readonly onError: (error: unknown) => void;
}

/**
 * Tells the other processes on a database which feeds a commit moved, by NOTIFY, and hears of
 * theirs. It is a hint: the poll of the heads stays the truth, and a lost message costs one poll.
 * One connection of its own, outside the pool. Dispose it to close that.
 */
export class HeadHints implements AsyncDisposable {
  readonly #options: HeadHintsOptions;
  readonly #stop = new AbortController();
  readonly #waiting = new Map<string, HeadHint>();
  readonly #running: Promise<void>;
  #client: pg.Client | undefined;
  #areOthers = false;
  /** How many came from other processes. */
  #messages = 0;
  #sending: Promise<void> | undefined;

  constructor(options: HeadHintsOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** Whether another process listens, as far as is known: otherwise nothing is sent. */
  get areOthers(): boolean {
    return this.#areOthers;
  }

  /** Tells the others, within some milliseconds, that a commit moved a head. */
  tell(hint: HeadHint): void {
    if (!this.#areOthers || this.#client === undefined) return;
    const key = `${hint.feed}:${hint.carrierId}`;
    if (this.#waiting.size >= MOST_WAITING && !this.#waiting.has(key)) return;
    this.#waiting.set(key, hint);
    this.#sending ??= this.#send(this.#client).finally(() => {
      this.#sending = undefined;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  #run(): Promise<void> {
    const { signal } = this.#stop;
    const { onPooled, onError } = this.#options;
    let isPooled = false;
    return every({ intervalMs: RETRY_MS, signal, onError, isOver: () => isPooled }, async () => {
      isPooled = !(await this.#listen());
      if (isPooled) onPooled();
    });
  }

  /** Listens until it is stopped or the connection is lost. @returns false: through a pooler. */
  async #listen(): Promise<boolean> {
    const { signal } = this.#stop;
    const client = newClient(this.#options.url);
    const lost = new AbortController();
    client.on("error", (error) => lost.abort(error));
    client.on("end", () => lost.abort(new Error("the connection for hints ended")));
    const over = AbortSignal.any([signal, lost.signal]);
    try {
      await unlessAborted(client.connect(), over);
      if (!(await isDirect(client))) return false;
      client.on("notification", (message) => this.#hear(client, message));
      // A hint may be lost in a crash, so its commit waits for no disk.
      await client.query("SET synchronous_commit = off");
      await client.query(`LISTEN ${CHANNEL}`);
      // So that those who were alone begin to tell.
      await client.query(`NOTIFY ${CHANNEL}`);
      this.#client = client;
      for (;;) {
        const before = this.#messages;
        // One that came while this was asked is of a process that the answer may not know.
        this.#areOthers = (await areOthers(client)) || this.#messages > before;
        await wait(LOOK_MS, undefined, { signal: over }).catch(() => {});
        over.throwIfAborted();
      }
    } catch (error) {
      if (!signal.aborted) throw error;
      return true;
    } finally {
      this.#client = undefined;
      this.#areOthers = false;
      this.#waiting.clear();
      await client.end().catch(() => {});
    }
  }

  #hear(client: pg.Client, { processId, payload = "" }: pg.Notification): void {
    if (processId === backendOf(client)) return;
    this.#areOthers = true;
    this.#messages++;
    for (const hint of parseHints(payload)) this.#options.onHint(hint);
  }

  // What comes while a message is on its way goes with the next.
  async #send(client: pg.Client): Promise<void> {
    const { signal } = this.#stop;
    try {
      while (this.#waiting.size > 0 && !signal.aborted && this.#client === client) {
        await client.query("SELECT pg_notify($1, $2)", [CHANNEL, this.#takeMessage()]);
        await wait(LEAST_GAP_MS, undefined, { signal });
      }
    } catch (error) {
      // The loop that listens sees a lost connection too, and opens another.
      if (!signal.aborted) this.#options.onError(error);
    }
  }

  #takeMessage(): string {
    const parts: string[] = [];
    let bytes = 0;
    for (const [key, { carrierId, feed, headSequence }] of this.#waiting) {
      const part = `${carrierId} ${feed} ${headSequence}`;
      bytes += Buffer.byteLength(part) + 1;
      if (bytes > MOST_BYTES && parts.length > 0) break;
      parts.push(part);
      this.#waiting.delete(key);
    }
    return parts.join("\n");
  }
}

function newClient(url: string): pg.Client {
  return new pg.Client({
    connectionString: url,
    application_name: APPLICATION_NAME,
    connectionTimeoutMillis: ANSWER_MS,
    query_timeout: ANSWER_MS,
    keepAlive: true,
  });
}

/** The server process that the connection was told of at its start. */
function backendOf(client: pg.Client): number {
  return (client as unknown as { processID: number }).processID;
}

// A pooler tells of a process of its own making.
async function isDirect(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
  return rows[0]?.pid === backendOf(client);
}

async function areOthers(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ are: boolean }>(
    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1 AND pid <> pg_backend_pid()) AS are",
    [APPLICATION_NAME],
  );
  return rows[0]?.are ?? false;
}

/** The hints of a message; none for a line that is not one: anyone with a login may write here. */
function parseHints(payload: string): HeadHint[] {
  return payload.split("\n").flatMap((line) => {
    const [, carrierId, feed, head] = /^(\S{1,64}) (\d{1,2}) (\d{1,19})$/.exec(line) ?? [];
    if (carrierId === undefined || feed === undefined || head === undefined) return [];
    return [{ carrierId, feed: Number(feed) as FeedId, headSequence: BigInt(head) }];
  });
}
