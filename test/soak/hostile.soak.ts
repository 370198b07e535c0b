import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { ConnectError, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { median, quantile } from "../../bench/statistics.ts";
import { createTandemTransport, type TandemTransport } from "../../src/client/transport.ts";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { calls, ingest, LATEST, NUMBER } from "../support/feed.ts";
import { FuzzTarget } from "../support/fuzz-target.ts";
import type { Ends, HostileCarrierOptions } from "../support/hostile-carrier.ts";
import type { HostileOrder } from "../support/hostile-program.ts";
import { durationOf } from "../support/upload-kinds.ts";

/** How long both parts take together: two minutes in CI, ten by hand. */
const SECONDS = Number(process.env["TANDEM_TEST_SOAK_SECONDS"] ?? 120);
/** Each part goes to and fro between quiet and loud so often, so that what else the machine does falls on both. */
const ROUNDS = Math.max(2, Math.min(12, Math.floor(SECONDS / 20)));
const ROUND_MS = (SECONDS * 1_000) / (ROUNDS * 4);

/** Loud may be so many times quiet. */
const MOST = 2;
/** A quiet wait of less than this counts as this, milliseconds: it is next to nothing, and twice nothing is nothing. */
const WAIT_FLOOR_MS = 5;
/** A quiet answer that comes sooner than this counts as this, milliseconds: below it one turn of a busy scheduler is all that is measured. */
const ANSWER_FLOOR_MS = 40;
/** The server's memory at any time. */
const MAX_RSS_BYTES = 1_024 * 1_048_576;
/** Lines of its log at level info and above, once it serves. */
const MAX_LOG_LINES_A_MINUTE = 60;
/** With its limits lowered the hostile carrier has the event loop busy for at least this share of the time: about half, and more on a slower machine. */
const LEAST_BUSY = 0.4;
/** Its limits then: calls at once, and records of a batch. The steady carrier, which has the same, needs three calls at once. */
const LOWERED_CALLS = 4;
const LOWERED_RECORDS = 100;

/** Of each address: the stranger asks for more. */
const MAX_CONNECTIONS = 100;
const HOSTILE_CALLS = 60;
const SETTLE_MS = 300;
/** After so many questions the steady carrier uploads. */
const UPLOAD_EVERY = 10;

const resources = new AsyncDisposableStack();
let exchange: Exchange;
let hostile: Hostile;
let expiredToken: string;

beforeAll(async () => {
  exchange = resources.use(await startExchange());
  for (const carrierId of ["alpha", "bravo"]) {
    await exchange.addCarrier(carrierId);
    await exchange.assignNumbers(carrierId, [NUMBER]);
    await ingest(exchange.app, carrierId, calls(carrierId, 3_000));
  }
  expiredToken = await exchange.carrierToken("bravo", 1);
  hostile = resources.use(await Hostile.start());
});
afterAll(() => resources.disposeAsync());

test(`a carrier at its full limits and a stranger keep another carrier from no connection, end no stream of it, and neither memory nor log grow without end (${SECONDS / 2} s)`, async () => {
  await using scene = await Scene.open({});
  const { quiet, loud } = await scene.play({
    carrier: { calls: HOSTILE_CALLS, batchRecords: 2_000, maxRestMs: 50 },
    stranger: true,
  });
  report("full limits", quiet, loud, scene);
  // Waits are counted on the server and do not include what the machine is slow at; the median of the rounds forgives single bad ones.
  expectAtMost("wait for a connection", p99s(quiet, "waitsMs"), p99s(loud, "waitsMs"), WAIT_FLOOR_MS);
  await scene.expectSound();
  // Both were heard: some of their calls were answered, one way or the other.
  expect(doneOf(loud)).toBeGreaterThan(0);
  for (const kind of ["health", "reflection", "expired", "forged"])
    expect(Object.keys(hostile.ends).filter((end) => end.startsWith(kind) && !end.endsWith("none"))).not.toEqual([]);
});

test(`a carrier whose limits let it keep the event loop half busy does not double the time in which another is answered (${SECONDS / 2} s)`, async () => {
  await using scene = await Scene.open({
    TANDEM_MAX_LIVE_CALLS: String(LOWERED_CALLS),
    TANDEM_MAX_MESSAGE_BYTES: "65536",
  });
  const { quiet, loud } = await scene.play({
    carrier: { calls: LOWERED_CALLS, batchRecords: LOWERED_RECORDS, maxRestMs: 100 },
    stranger: false,
  });
  report("half busy", quiet, loud, scene);
  expect(busyOf(loud)).toBeGreaterThan(LEAST_BUSY);
  // Both are measured by turns on the same machine, so that what else it does falls on both; the median forgives single bad rounds.
  expectAtMost("answer to GetCdr", p99s(quiet, "answersMs"), p99s(loud, "answersMs"), ANSWER_FLOOR_MS);
  await scene.expectSound();
});

interface Round {
  readonly waitsMs: readonly number[];
  readonly answersMs: readonly number[];
  readonly busy: number;
  readonly ends: Ends;
}

interface Play {
  readonly carrier: Pick<HostileCarrierOptions, "calls" | "batchRecords" | "maxRestMs">;
  readonly stranger: boolean;
}

/** A server of its own, and on it a carrier that goes about its business. */
class Scene implements AsyncDisposable {
  readonly #target: FuzzTarget;
  readonly #steady: SteadyCarrier;
  readonly #openedAt = performance.now();
  readonly #logLinesBefore: number;
  maxRssBytes = 0;

  private constructor(target: FuzzTarget, steady: SteadyCarrier) {
    this.#target = target;
    this.#steady = steady;
    this.#logLinesBefore = target.logged.length;
  }

  static async open(settings: Readonly<Record<string, string>>): Promise<Scene> {
    const target = await FuzzTarget.start({
      TANDEM_DATABASE_URL: exchange.databaseUrl,
      TANDEM_DATA_DIR: exchange.dataDir,
      TANDEM_ISSUE_TOKENS: "on",
      TANDEM_PORT: "0",
      TANDEM_LOG_LEVEL: "info",
      // Another process reconciles: what that takes is measured elsewhere.
      TANDEM_RECONCILE_INTERVAL_MS: "0",
      TANDEM_DRAIN_MS: "2000",
      TANDEM_MAX_CONNECTIONS_PER_ADDRESS: String(MAX_CONNECTIONS),
      ...settings,
    });
    const steady = new SteadyCarrier(target.url, await exchange.carrierToken("bravo"));
    await steady.caughtUp;
    return new Scene(target, steady);
  }

  /** Quiet and loud in turn. */
  async play({ carrier, stranger }: Play): Promise<{ quiet: Round[]; loud: Round[] }> {
    const { url } = this.#target;
    const order: HostileOrder = {
      carrier: { ...carrier, url, localAddress: "127.0.0.3", token: await exchange.carrierToken("alpha") },
      stranger: stranger
        ? { url, localAddress: "127.0.0.2", expiredToken, connections: MAX_CONNECTIONS + 20 }
        : undefined,
    };
    const rounds: { quiet: Round[]; loud: Round[] } = { quiet: [], loud: [] };
    await this.#measure({}, SETTLE_MS);
    for (let round = 0; round < ROUNDS; round++) {
      rounds.quiet.push(await this.#measure({}, ROUND_MS));
      rounds.loud.push(await this.#measure(order, ROUND_MS));
    }
    return rounds;
  }

  /** No call of it failed, no stream of it ended, its feed brought everything; the server's memory and log are within their bounds. */
  async expectSound(): Promise<void> {
    const minutes = Math.max(1, (performance.now() - this.#openedAt) / 60_000);
    const lines = this.#target.logged.slice(this.#logLinesBefore);
    this.#target.assertAlive();
    await this.#steady.rest();
    expect(this.#steady.failures.slice(0, 5)).toEqual([]);
    expect(this.#steady.streamEnd).toBeUndefined();
    await expect.poll(() => this.#steady.received).toBeGreaterThanOrEqual(this.#steady.awaited);
    expect(lines.length / minutes, lines.slice(-20).join("\n")).toBeLessThanOrEqual(MAX_LOG_LINES_A_MINUTE);
    expect(this.maxRssBytes).toBeLessThanOrEqual(MAX_RSS_BYTES);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await hostile.obey({});
    await this.#steady[Symbol.asyncDispose]();
    await this.#target[Symbol.asyncDispose]();
  }

  async #measure(order: HostileOrder, ms: number): Promise<Round> {
    await hostile.obey(order);
    // What the round before has left is gone; the measure begins with both at work.
    await wait(SETTLE_MS);
    await this.#target.ask("load");
    this.#steady.answersMs = [];
    await wait(ms);
    const { load } = await this.#target.ask("load");
    if (!load) throw new Error("the server did not tell what it had to bear");
    this.maxRssBytes = Math.max(this.maxRssBytes, load.rssBytes);
    const ends = order.carrier ? await hostile.obey({}) : {};
    return { waitsMs: load.waitsMs["carrier:bravo"] ?? [], answersMs: this.#steady.answersMs, busy: load.busy, ends };
  }
}

/** A carrier that follows its feed, and asks for records and uploads, one call at a time: it is never at its own share, so it waits for others only. */
class SteadyCarrier implements AsyncDisposable {
  readonly failures: string[] = [];
  answersMs: number[] = [];
  streamEnd: string | undefined;
  /** Entries of its feed that have come, and that were put there. */
  received = 0;
  awaited = 0;
  readonly caughtUp: Promise<void>;
  readonly #transport: TandemTransport;
  readonly #uploadId = `bravo-${crypto.randomUUID()}`;
  #offset = 0n;
  readonly #stop = new AbortController();
  readonly #rest = new AbortController();
  readonly #following: Promise<void>;
  readonly #working: Promise<unknown>;

  constructor(baseUrl: string, token: string) {
    this.#transport = createTandemTransport({ baseUrl, token });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.caughtUp = promise;
    // One that ends before it has caught up never will.
    this.#following = this.#follow(resolve).finally(() => reject(new Error(`the stream ended: ${this.streamEnd}`)));
    this.#working = Promise.all([this.#ask(), this.#provide()]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rest();
    this.#stop.abort();
    await this.#following;
    this.#transport[Symbol.dispose]();
  }

  /** Ends all but the stream, which brings what is still on its way. */
  async rest(): Promise<void> {
    this.#rest.abort();
    await this.#working;
  }

  async #follow(onCaughtUp: () => void): Promise<void> {
    const { signal } = this.#stop;
    try {
      for await (const { frame } of createClient(CdrService, this.#transport).streamCdrs(
        { start: LATEST },
        { signal },
      )) {
        if (frame.case === "caughtUp") onCaughtUp();
        if (frame.case === "batch") this.received += frame.value.entries.length;
      }
      this.streamEnd = "OK";
    } catch (error) {
      if (!signal.aborted) this.streamEnd = ConnectError.from(error).message;
    }
  }

  async #ask(): Promise<void> {
    const cdrs = createClient(CdrService, this.#transport);
    let asked = 0;
    await this.#everySo(20, async () => {
      if (asked % UPLOAD_EVERY === 0) await this.#upload();
      const begunAt = performance.now();
      await cdrs.getCdr({ name: { case: "recordId", value: `bravo-${asked++ % 3_000}` } });
      this.answersMs.push(performance.now() - begunAt);
    });
  }

  async #upload(): Promise<void> {
    const upload = { uploadId: this.#uploadId, firstOffset: this.#offset };
    const records = Array.from({ length: 20 }, (_, index) =>
      durationOf({ id: `${this.#uploadId}-${this.#offset}-${index}` }),
    );
    const { committedOffset } = await createClient(DurationService, this.#transport).appendDurations({
      ...upload,
      records,
    });
    this.#offset = committedOffset;
  }

  // Through another process than the one that is attacked: the feed learns of it by its poll.
  async #provide(): Promise<void> {
    await this.caughtUp.catch(() => {});
    const prefix = crypto.randomUUID();
    let given = 0;
    await this.#everySo(250, async () => {
      await ingest(exchange.app, "bravo", calls(`${prefix}-${given++}`, 5));
      this.awaited += 5;
    });
  }

  async #everySo(ms: number, act: () => Promise<void>): Promise<void> {
    const { signal } = this.#rest;
    while (!signal.aborted) {
      await act().catch((error: unknown) => this.failures.push(String(error)));
      await wait(ms, undefined, { signal }).catch(() => {});
    }
  }
}

/** The process of those who are hostile. */
class Hostile implements AsyncDisposable {
  readonly #child: ChildProcess;
  /** How all calls of both ended so far. */
  readonly ends: Ends = {};

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(): Promise<Hostile> {
    const child = fork(join(import.meta.dirname, "../support/hostile-program.ts"));
    await once(child, "message");
    return new Hostile(child);
  }

  /** Has them do something else, and tells how their calls ended until then. */
  async obey(order: HostileOrder): Promise<Ends> {
    const answer = once(this.#child, "message");
    this.#child.send(order);
    const [ends] = (await answer) as [Ends];
    for (const [end, count] of Object.entries(ends)) this.ends[end] = (this.ends[end] ?? 0) + count;
    return ends;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.disconnect();
    await ended;
  }
}

function p99s(rounds: readonly Round[], what: "waitsMs" | "answersMs"): number[] {
  return rounds.map((round) => quantile(round[what], 0.99));
}

function expectAtMost(what: string, quiet: readonly number[], loud: readonly number[], floorMs: number): void {
  const most = MOST * Math.max(median(quiet), floorMs);
  const told = `${what}, p99 of each round, ms: quiet ${quiet.map(rounded)}; loud ${loud.map(rounded)}`;
  expect(median(loud), told).toBeLessThanOrEqual(most);
}

function busyOf(rounds: readonly Round[]): number {
  return median(rounds.map(({ busy }) => busy));
}

// The carrier's calls that were let in; the stranger's have their kind in front.
function doneOf(rounds: readonly Round[]): number {
  return rounds.reduce((sum, { ends }) => sum + (ends["OK"] ?? 0), 0);
}

function rounded(ms: number): string {
  return ms.toFixed(1);
}

function report(what: string, quiet: readonly Round[], loud: readonly Round[], scene: Scene): void {
  const of = (name: string, rounds: readonly Round[]) =>
    `${name}: wait ${rounded(median(p99s(rounds, "waitsMs")))} ms, answer ${rounded(median(p99s(rounds, "answersMs")))} ms, ` +
    `event loop ${(busyOf(rounds) * 100).toFixed(0)} %`;
  const ends = JSON.stringify(Object.fromEntries(Object.entries(hostile.ends).sort()));
  console.log(
    `${what}: ${of("quiet", quiet)}; ${of("loud", loud)}; ${(scene.maxRssBytes / 1_048_576).toFixed(0)} MiB; ${ends}`,
  );
}
