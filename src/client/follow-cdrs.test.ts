import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type HandlerContext } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { startScriptedServer } from "../../test/support/scripted-server.ts";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.js";
import {
  CdrService,
  type StreamCdrsRequest,
  type StreamCdrsResponseSchema,
} from "../gen/tandem/carrier/v1/cdr_service_pb.js";
import { FeedClosingReason, FeedStartEarliestSchema, FeedStartLatestSchema } from "../gen/tandem/type/v1/feed_pb.js";
import { memoryCursorStore } from "./cursor-store.ts";
import { type CdrRun, type FollowCdrsOptions, followCdrs } from "./follow-cdrs.ts";
import type { FeedEvent, FollowResult } from "./follow-feed.ts";
import { createTandemTransport } from "./transport.ts";

type Frame = Extract<MessageInitShape<typeof StreamCdrsResponseSchema>, { $typeName?: never }>;
type Script = (request: StreamCdrsRequest, cut: () => void, context: HandlerContext) => AsyncIterable<Frame>;

const EPOCH = 7n;
const BATCH = 10;

describe("followCdrs", () => {
  it("gets every entry once, in order, when the connection is cut again and again", async () => {
    let cuts = 0;
    const { result, sequences } = await follow(async function* (request, cut) {
      const after = positionOf(request);
      yield opened(after);
      for (let next = after; next < 100; next += BATCH) {
        yield batch(next, next + BATCH);
        if (next % 30 === 20 && cuts++ < 12) cut();
      }
      yield closing(100, FeedClosingReason.END_REACHED);
    });
    expect(sequences).toEqual(upTo(100));
    expect(result).toMatchObject({ endReached: true, entryCount: 100, position: { sequence: 100n, epoch: EPOCH } });
    expect(result.resumes).toBeGreaterThan(0);
  });

  it("takes no other end for the end of the data", async () => {
    const reasons = [FeedClosingReason.MAX_AGE, FeedClosingReason.DRAINING, undefined, FeedClosingReason.END_REACHED];
    const { result, sequences } = await follow(async function* (request) {
      const after = positionOf(request);
      yield opened(after);
      yield batch(after, after + BATCH);
      const reason = reasons.shift();
      if (reason !== undefined) yield closing(after + BATCH, reason);
    });
    expect(sequences).toEqual(upTo(40));
    expect(result).toMatchObject({ endReached: true, resumes: 3 });
  });

  it("stops at a message that does not begin where it stands, and resumes from its cursor", async () => {
    let attempts = 0;
    const { result, sequences, events } = await follow(async function* (request) {
      attempts += 1;
      const after = positionOf(request);
      yield opened(after);
      yield batch(after, after + BATCH);
      if (attempts === 1) yield batch(after + 2 * BATCH, after + 3 * BATCH);
      yield closing(after + BATCH, FeedClosingReason.END_REACHED);
    });
    expect(sequences).toEqual(upTo(20));
    expect(result.resumes).toBe(1);
    expect(String(events.find((event) => event.kind === "CUT")?.error)).toContain("the client stands at 10");
  });

  it("does not apply a batch that holds fewer entries than its range, and says so when resuming does not help", async () => {
    let attempts = 0;
    const following = follow(async function* () {
      attempts += 1;
      yield opened(0);
      yield { ...batch(0, BATCH), throughSequence: BigInt(BATCH + 1) };
    });
    await expect(following).rejects.toMatchObject({ fault: "CONTRADICTED" });
    expect(attempts).toBe(3);
  });

  it("refuses a server that resumes elsewhere than at the cursor, or in another epoch", async () => {
    const store = () => memoryCursorStore({ cursor: "50", sequence: 50n, epoch: EPOCH });
    const elsewhere = follow(
      async function* () {
        yield opened(60);
      },
      { store: store() },
    );
    await expect(elsewhere).rejects.toMatchObject({ fault: "CONTRADICTED" });
    const anew = follow(
      async function* () {
        yield { ...opened(50), frame: { case: "opened", value: { feedEpoch: EPOCH + 1n } } };
      },
      { store: store() },
    );
    await expect(anew).rejects.toMatchObject({ fault: "CONTRADICTED" });
  });

  it("does not retry what only the caller can cure, and says the reason", async () => {
    let attempts = 0;
    // biome-ignore lint/correctness/useYield: a call that is refused
    const following = follow(async function* () {
      attempts += 1;
      const metadata = { earliest_sequence: "900" };
      const detail = { desc: ErrorInfoSchema, value: { domain: "tandem", reason: "CURSOR_EXPIRED", metadata } };
      throw new ConnectError("expired", Code.OutOfRange, undefined, [detail]);
    });
    await expect(following).rejects.toMatchObject({
      fault: "REFUSED",
      tandem: { reason: "CURSOR_EXPIRED", metadata: { earliest_sequence: "900" } },
    });
    expect(attempts).toBe(1);
  });

  it("gives up a server that is silent for three heartbeat intervals, and resumes", async () => {
    let attempts = 0;
    const { result, sequences } = await follow(async function* (request, _cut, context) {
      attempts += 1;
      const after = positionOf(request);
      yield opened(after, 20);
      yield batch(after, after + BATCH);
      if (attempts === 1) await ended(context.signal);
      yield closing(after + BATCH, FeedClosingReason.END_REACHED);
    });
    expect(sequences).toEqual(upTo(20));
    // On a slow machine a later attempt may be held to be silent, too.
    expect(result.resumes).toBeGreaterThanOrEqual(1);
  });

  it("waits as long as Closing asks", async () => {
    const ends = [FeedClosingReason.DRAINING, FeedClosingReason.END_REACHED];
    const { events } = await follow(async function* (request) {
      const after = positionOf(request);
      yield opened(after);
      yield batch(after, after + BATCH);
      const reason = ends.shift() ?? FeedClosingReason.END_REACHED;
      const value = { reason, retryAfter: { seconds: 0n, nanos: 50_000_000 } };
      yield { ...closing(after + BATCH, reason), frame: { case: "closing", value } };
    });
    const resuming = events.find((event) => event.kind === "RESUMING");
    expect(resuming?.delayMs).toBeGreaterThanOrEqual(50);
  });

  it("keeps the position of Opened, so that a start at latest is not a later latest after a cut", async () => {
    let attempts = 0;
    const starts: unknown[] = [];
    await follow(
      async function* (request) {
        starts.push(request.start?.position.case);
        attempts += 1;
        const after = attempts === 1 ? 10 : positionOf(request);
        yield opened(after);
        if (attempts > 1) yield closing(after, FeedClosingReason.END_REACHED);
      },
      { start: { case: "latest", value: create(FeedStartLatestSchema) } },
    );
    expect(starts).toEqual(["latest", "cursor"]);
  });

  it("passes on what apply throws, without storing the position", async () => {
    const store = memoryCursorStore();
    const fault = new ConnectError("the warehouse is away", Code.Unavailable);
    const following = follow(
      async function* () {
        yield opened(0);
        yield batch(0, BATCH);
      },
      { store, apply: () => Promise.reject(fault) },
    );
    await expect(following).rejects.toBe(fault);
    expect((await store.load())?.sequence).toBe(0n);
  });

  it("stops when its signal is aborted, between two runs", async () => {
    const stop = new AbortController();
    const { result } = await follow(
      async function* (_request, _cut, context) {
        yield opened(0);
        yield batch(0, BATCH);
        await ended(context.signal);
      },
      {
        signal: stop.signal,
        apply: async () => stop.abort(),
      },
    );
    expect(result).toMatchObject({ endReached: false, position: { sequence: 10n }, resumes: 0 });
  });
});

async function follow(
  script: Script,
  options: Partial<FollowCdrsOptions> = {},
): Promise<{ result: FollowResult; sequences: number[]; events: FeedEvent[] }> {
  await using server = await startScriptedServer((router) => {
    router.service(CdrService, { streamCdrs: (request, context) => script(request, () => server.cut(), context) });
  });
  using transport = createTandemTransport({ baseUrl: server.baseUrl });
  const sequences: number[] = [];
  const events: FeedEvent[] = [];
  const result = await followCdrs(createClient(CdrService, transport), {
    start: { case: "earliest", value: create(FeedStartEarliestSchema) },
    store: memoryCursorStore(),
    retry: { initialDelayMs: 1, maxDelayMs: 5, maxAttempts: 20 },
    onEvent: (event) => events.push(event),
    apply: async (run: CdrRun) => {
      sequences.push(...run.entries.map(({ entry }) => Number(entry.value?.sequence)));
    },
    ...options,
  });
  return { result, sequences, events };
}

function positionOf(request: StreamCdrsRequest): number {
  const position = request.start?.position;
  return position?.case === "cursor" ? Number(position.value) : 0;
}

function opened(after: number, heartbeatMs = 15_000): Frame {
  const heartbeatInterval = { seconds: 0n, nanos: heartbeatMs * 1_000_000 };
  const value = { feedEpoch: EPOCH, ...(heartbeatMs < 1000 ? { heartbeatInterval } : {}) };
  return { ...position(after, after), frame: { case: "opened", value } };
}

function batch(after: number, through: number): Frame {
  const sequences = Array.from({ length: through - after }, (_, index) => BigInt(after + index + 1));
  const entries = sequences.map((sequence) => ({ entry: { case: "record" as const, value: { sequence } } }));
  return { ...position(after, through), frame: { case: "batch", value: { entries } } };
}

function closing(at: number, reason: FeedClosingReason): Frame {
  return { ...position(at, at), frame: { case: "closing", value: { reason } } };
}

function position(after: number, through: number) {
  return { afterSequence: BigInt(after), throughSequence: BigInt(through), cursor: String(through) };
}

function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, index) => index + 1);
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
