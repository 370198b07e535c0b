import fc from "fast-check";
import { expect } from "vitest";
import { type Invariant, type Move, type Take, testByWalks } from "../../test/support/state-walk.ts";
import type { FeedHead } from "../store/feeds/feed-head.ts";
import type { Cursor } from "./cursor.ts";
import {
  HEAD_BELIEVED_MS,
  type KnownHead,
  openStream,
  STREAM_TABLE,
  type StreamEffect,
  type StreamEvent,
  type StreamState,
} from "./stream-state.ts";

const HEARTBEAT_MS = 1_000;
const ROWS = 5;
const PAGE = 4n;

type StreamInvariant = Invariant<StreamState, StreamEvent, StreamEffect>;

/** A feed that grows, is rewritten and expires around the states of one stream of it. */
class World {
  head: FeedHead = headAt(20n);
  state: StreamState | undefined;
  reading: "rows" | "page" | undefined;
  polled: KnownHead | undefined;
  now = 0;
  readonly #take: Take<StreamState, StreamEvent, StreamEffect>;

  constructor(take: Take<StreamState, StreamEvent, StreamEffect>) {
    this.#take = take;
  }

  start(at: { sequence: bigint; hasRows: boolean; until: bigint | undefined }): void {
    const plain: Cursor = { epoch: 1n, sequence: at.sequence, ingestTime: at.sequence };
    const position = at.hasRows ? { ...plain, snapshot: { afterKey: "", rowCount: 0 } } : plain;
    const openedHead = this.head.headSequence;
    const heartbeat = { heartbeatMs: HEARTBEAT_MS, heartbeatAt: this.now + HEARTBEAT_MS };
    this.state = openStream({ position, until: at.until, openedHead, ...heartbeat });
  }

  happen(event: StreamEvent): void {
    const { state, effects } = this.#take(this.state as StreamState, event);
    this.state = state;
    const reading = effects.find(({ effect }) => effect === "readRows" || effect === "readPage");
    this.reading = reading && (reading.effect === "readRows" ? "rows" : "page");
  }

  turn(event: Pick<StreamEvent & { event: "turn" }, "end" | "aborted">, isHinted: boolean): void {
    const isPast = isHinted && this.head.headSequence > (this.state?.at.position.sequence ?? 0n);
    this.happen({ event: "turn", now: this.now, polled: this.polled, isPast, ...event });
  }

  answer(rowCount: number): void {
    const { position, until } = (this.state as StreamState).at;
    if (this.reading === "rows") {
      const sent = position.snapshot?.rowCount ?? 0;
      const isLast = sent + rowCount >= ROWS;
      this.happen({ event: "rowsRead", page: { rowCount: isLast ? ROWS - sent : rowCount, lastKey: "k", isLast } });
      return;
    }
    const ends = [position.sequence + PAGE, until ?? this.head.headSequence, this.head.headSequence];
    const reached = ends.reduce((least, end) => (end < least ? end : least));
    const isNew = reached > position.sequence;
    const throughSequence = isNew ? reached : position.sequence;
    const isSameHistory = this.head.epoch === position.epoch;
    const page = { throughSequence, throughIngestTime: throughSequence, head: this.head, isSameHistory };
    this.happen({ event: "pageRead", page, now: this.now });
  }
}

function headAt(headSequence: bigint): FeedHead {
  const known = { epoch: 1n, earliestSequence: 1n, headSequence, lastIngestTime: headSequence };
  // Only what the states look at.
  return known as unknown as FeedHead;
}

const isIdle = ({ state, reading }: World) => state !== undefined && state.name !== "over" && reading === undefined;

const start = fc
  .record({
    sequence: fc.bigInt({ min: 0n, max: 20n }),
    hasRows: fc.boolean(),
    until: fc.oneof(fc.constant(undefined), fc.bigInt({ min: 0n, max: 30n })),
  })
  .map(
    (at): Move<World> => ({
      name: `start at ${at.sequence}, until ${at.until}${at.hasRows ? ", with rows" : ""}`,
      can: ({ state }) => state === undefined,
      go: (world) => world.start(at),
    }),
  );
const turn = fc
  .boolean()
  .map((isHinted): Move<World> => ({ name: "turn", can: isIdle, go: (world) => world.turn(GO_ON, isHinted) }));
const GO_ON = { end: undefined, aborted: undefined };
const lastTurn = fc
  .constantFrom(
    { end: "DRAINING" as const, aborted: undefined },
    { end: undefined, aborted: { reason: "deadline" } },
    GO_ON,
    GO_ON,
  )
  .map((event): Move<World> => ({ name: "last turn", can: isIdle, go: (world) => world.turn(event, true) }));
const answer = fc.integer({ min: 0, max: 3 }).map(
  (rowCount): Move<World> => ({
    name: `answer(${rowCount})`,
    can: ({ reading }) => reading !== undefined,
    go: (world) => world.answer(rowCount),
  }),
);
const MOVES: fc.Arbitrary<Move<World>>[] = [
  start,
  turn,
  turn,
  turn,
  answer,
  answer,
  answer,
  lastTurn,
  fc.boolean().map((isAnswered) => ({
    name: isAnswered ? "poll" : "poll without an answer",
    can: () => true,
    go: (world: World) => {
      world.polled = isAnswered ? { head: world.head, since: world.now } : undefined;
    },
  })),
  fc.bigInt({ min: 1n, max: 6n }).map((count) => ({
    name: `append(${count})`,
    can: () => true,
    go: (world: World) => {
      const headSequence = world.head.headSequence + count;
      world.head = { ...world.head, headSequence, lastIngestTime: headSequence };
    },
  })),
  fc.integer({ min: 1, max: 1_500 }).map((ms) => ({
    name: `wait(${ms})`,
    can: () => true,
    go: (world: World) => {
      world.now += ms;
    },
  })),
  fc.constantFrom("rewritten", "expired", "", "", "", "").map((what) => ({
    name: what,
    can: () => what !== "",
    go: (world: World) => {
      const { head } = world;
      world.head =
        what === "expired"
          ? { ...head, earliestSequence: head.headSequence + 1n }
          : { ...head, epoch: head.epoch + 1n };
    },
  })),
];

const batchesFollow: StreamInvariant = () => {
  return ({ before, after, effects }) => {
    for (const effect of effects) {
      if (effect.effect !== "sendBatch") continue;
      expect(effect.after).toEqual(before.at.position);
      expect(effect.through).toEqual(after.at.position);
      expect(effect.through.sequence > effect.after.sequence).toBe(true);
    }
    const hasBatch = effects.some(({ effect }) => effect === "sendBatch");
    if (!hasBatch) expect(after.at.position.sequence).toBe(before.at.position.sequence);
  };
};

const rowsFirst: StreamInvariant = () => {
  let rows = 0;
  let [hasBatch, hasSynced] = [false, false];
  return ({ event, after, effects }) => {
    if (event.event === "rowsRead") rows += event.page.rowCount;
    for (const effect of effects) {
      if (effect.effect === "sendBatch") hasBatch = true;
      if (effect.effect === "sendRows") expect(hasBatch || hasSynced).toBe(false);
      if (effect.effect !== "send" || effect.frame.frame !== "synced") continue;
      expect(hasBatch || hasSynced).toBe(false);
      expect(effect.frame.rowCount).toBe(rows);
      hasSynced = true;
    }
    if (hasSynced) expect(after.at.position.snapshot).toBeUndefined();
  };
};

const caughtUpOnce: StreamInvariant = () => {
  let count = 0;
  return ({ after, effects }) => {
    for (const effect of effects) {
      if (effect.effect !== "send" || effect.frame.frame !== "caughtUp") continue;
      count++;
      expect(after.name).toBe("live");
      expect(after.at.position.sequence >= after.at.openedHead).toBe(true);
    }
    expect(count).toBeLessThanOrEqual(1);
    if (after.name === "live") expect(count).toBe(1);
  };
};

const endIsReached: StreamInvariant = () => {
  return ({ before, after, effects }) => {
    const { until, position } = before.at;
    if (until !== undefined) expect(after.name).not.toBe("live");
    const isAtEnd = until !== undefined && position.sequence >= until;
    if (before.name === "backfill" && isAtEnd) expect(effects.some(({ effect }) => effect === "readPage")).toBe(false);
    for (const effect of effects)
      if (effect.effect === "send" && effect.frame.frame === "closing" && effect.frame.reason === "END_REACHED")
        expect(isAtEnd).toBe(true);
  };
};

const historyHolds: StreamInvariant = () => {
  return ({ before, event, after, effects }) => {
    if (event.event !== "pageRead") return;
    const { head, isSameHistory } = event.page;
    const { position } = before.at;
    const isGone = head.epoch !== position.epoch || !isSameHistory || position.sequence < head.earliestSequence - 1n;
    if (!isGone) return;
    expect(after.name).toBe("over");
    expect(effects.map(({ effect }) => effect)).toEqual(["end"]);
  };
};

const onePageHeld: StreamInvariant = () => {
  return ({ event, effects }) => {
    const reads = effects.filter(({ effect }) => effect === "readRows" || effect === "readPage");
    if (reads.length > 0) expect(effects).toHaveLength(1);
    if (event.event !== "turn") expect(reads).toEqual([]);
  };
};

const heartbeatsKeepTime: StreamInvariant = () => {
  return ({ before, event, after, effects }) => {
    if (event.event === "rowsRead") return;
    const { now } = event;
    const isSent = effects.some((effect) => effect.effect === "send" && effect.frame.frame === "heartbeat");
    if (isSent) expect(now).toBeGreaterThanOrEqual(before.at.heartbeatAt);
    if (effects.some(({ effect }) => effect === "rest")) expect(now).toBeLessThan(after.at.heartbeatAt);
  };
};

const restsAtTheHead: StreamInvariant = () => {
  let read: KnownHead | undefined;
  return ({ event, after, effects }) => {
    if (event.event === "pageRead") read = { head: event.page.head, since: event.now };
    if (event.event !== "turn" || !effects.some(({ effect }) => effect === "rest")) return;
    expect(event.isPast).toBe(false);
    const polled = event.polled && event.polled.since > (read?.since ?? 0) ? event.polled : undefined;
    const known = polled ?? read;
    expect(known?.head.headSequence).toBe(after.at.position.sequence);
    expect(known?.head.epoch).toBe(after.at.position.epoch);
    if (!polled) expect(event.now - (read?.since ?? 0)).toBeLessThanOrEqual(HEAD_BELIEVED_MS);
  };
};

const endsWithError: StreamInvariant = () => {
  return ({ after, effects }) => {
    const end = effects.find(({ effect }) => effect === "end") as (StreamEffect & { effect: "end" }) | undefined;
    expect(end !== undefined).toBe(after.name === "over");
    if (end === undefined || end.failure) return;
    expect(effects[0]).toMatchObject({ frame: { frame: "closing", reason: "END_REACHED" } });
  };
};

testByWalks({
  table: STREAM_TABLE,
  file: new URL("stream-state.ts", import.meta.url),
  open: (take) => new World(take),
  moves: MOVES,
  invariants: {
    "Batches follow each other without a gap or an overlap": batchesFollow,
    "Rows come before the first batch, and Synced counts them all": rowsFirst,
    "CaughtUp comes once, at or past the head that the stream was opened with": caughtUpOnce,
    "A stream with an end is never live, and ends with END_REACHED once it is there": endIsReached,
    "Nothing of a rewritten or expired history is sent": historyHolds,
    "At most one page is held: it is sent before the next is read": onePageHeld,
    "No heartbeat comes early, and a stream that rests owes none": heartbeatsKeepTime,
    "A live stream rests only where the newest that is known of its feed has been sent": restsAtTheHead,
    "Only END_REACHED ends without an error": endsWithError,
  },
});
