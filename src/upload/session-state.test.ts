import fc from "fast-check";
import { expect } from "vitest";
import { type Invariant, type Move, type Take, testByWalks } from "../../test/support/state-walk.ts";
import { countVerdicts } from "../domain/calls/verdict.ts";
import type { UploadRow } from "../store/records/uploads.ts";
import type { ServerFrame } from "./frames.ts";
import type { Outcome } from "./outcome.ts";
import type { SentBatch } from "./pending.ts";
import {
  MAX_ACK_OUTCOMES,
  MAX_HELD_BATCHES,
  MAX_WAITING_OUTCOMES,
  openSession,
  readerOf,
  SESSION_TABLE,
  type SessionEffect,
  type SessionEvent,
  type SessionState,
} from "./session-state.ts";

const WINDOW = 4_000;
const BATCH = 1_000;
const START = 500n;

type SessionInvariant = Invariant<SessionState, SessionEvent, SessionEffect>;
type Commit = SessionEffect & { effect: "commit" };

/** A client and a store around the states, in which everything takes its time. */
class World {
  state = openSession(START, WINDOW);
  /** Commits that are not answered, oldest first. */
  readonly commits: Commit[] = [];
  replay: (SessionEffect & { effect: "replay" }) | undefined;
  isSealing = false;
  /** The reader waits for a frame. */
  isListening = true;
  isInputOver = false;
  hasEnded = false;
  readonly #take: Take<SessionState, SessionEvent, SessionEffect>;

  constructor(take: Take<SessionState, SessionEvent, SessionEffect>) {
    this.#take = take;
  }

  get isOver(): boolean {
    return this.state.name === "over";
  }

  happen(event: SessionEvent): void {
    const { state, effects } = this.#take(this.state, event);
    this.state = state;
    for (const effect of effects) {
      if (effect.effect === "commit") this.commits.push(effect);
      if (effect.effect === "replay") this.replay = effect;
      if (effect.effect === "seal") this.isSealing = true;
      if (effect.effect === "end") this.hasEnded = true;
    }
    if (!this.isInputOver && readerOf(this.state) === "reads") this.isListening = true;
  }

  /** The client sends a frame. */
  frame(event: SessionEvent): void {
    this.isListening = false;
    this.happen(event);
  }

  endInput(): void {
    this.isListening = false;
    this.isInputOver = true;
    this.happen({ event: "inputEnded" });
  }

  /** The oldest commit is answered; what is of an older generation is only done with. */
  answerCommit(answer: "told" | "partly told" | "lost" | "failed"): void {
    const { batch, generation } = this.commits.shift() as Commit;
    const end = batch.firstOffset + BigInt(batch.count);
    const half = batch.firstOffset + BigInt(Math.ceil(batch.count / 2));
    if (generation === this.state.at.generation) {
      if (answer === "told") this.tell(batch.firstOffset, end);
      if (answer === "partly told") this.tell(batch.firstOffset, half);
      const from = answer === "partly told" ? half : batch.firstOffset;
      if (answer === "failed") this.happen({ event: "failed", error: "refused", generation });
      else if (answer !== "told") this.happen({ event: "storeLost", from, generation });
    } else this.happen({ event: "storeLost", from: batch.firstOffset, generation });
    this.happen({ event: "settled" });
  }

  answerReplay(answer: "told" | "lost" | "failed"): void {
    const { batch, committed, generation } = this.replay as NonNullable<World["replay"]>;
    this.replay = undefined;
    const end = batch.firstOffset + BigInt(batch.count);
    if (answer === "lost") this.happen({ event: "storeLost", from: batch.firstOffset, generation });
    if (answer === "failed") this.happen({ event: "failed", error: "other content", generation });
    if (answer !== "told") return;
    this.tell(batch.firstOffset, end < committed ? end : committed);
    this.happen({ event: "replayed", rest: end > committed ? batchOf(committed, end) : undefined });
  }

  answerSeal(event: SessionEvent): void {
    this.isSealing = false;
    this.happen(event);
  }

  // Every record has an outcome, so that none can be lost unseen.
  tell(first: bigint, end: bigint): void {
    const outcomes = Array.from({ length: Number(end - first) }, (_, index) => ({
      recordOffset: first + BigInt(index),
    }));
    this.happen({ event: "told", end, outcomes: outcomes as Outcome[], counts: countVerdicts([]) });
  }
}

function batchOf(firstOffset: bigint, end: bigint): SentBatch {
  const prepare = () => {
    throw new Error("the states never prepare a batch");
  };
  return { firstOffset, count: Number(end - firstOffset), receivedBytes: 0, prepare };
}

const always = (move: Omit<Move<World>, "can"> & Partial<Move<World>>) => fc.constant({ can: () => true, ...move });

function sendBatch(shift: number, count: number): Move<World> {
  return {
    name: `batch(${shift}, ${count})`,
    can: ({ isListening }) => isListening,
    go: (world) => {
      const { expected, sendLimit } = world.state.at;
      const at = expected + BigInt(shift);
      const first = at < 0n ? 0n : at;
      const wanted = first + BigInt(count);
      // Past the credit only by a batch that is drawn to be.
      const end = count < BATCH && wanted > sendLimit && first < sendLimit ? sendLimit : wanted;
      world.frame({ event: "batch", batch: batchOf(first, end) });
    },
  };
}

function pull(event: Omit<SessionEvent & { event: "pulled" }, "event">): Move<World> {
  return {
    name: `pull(${JSON.stringify(event)})`,
    can: ({ hasEnded, isOver }) => !hasEnded && !isOver,
    go: (world) => world.happen({ event: "pulled", ...event }),
  };
}

const PLAIN = { hasRoom: true, end: undefined, isAborted: false, isHeartbeatDue: false };
const plainBatch = fc.integer({ min: 1, max: BATCH - 1 }).map((count) => sendBatch(0, count));
const plainPull = fc.boolean().map((isHeartbeatDue) => pull({ ...PLAIN, isHeartbeatDue }));
const commitAnswer = (...answers: Parameters<World["answerCommit"]>[0][]) =>
  fc.constantFrom(...answers).map(
    (answer): Move<World> => ({
      name: `commit is ${answer}`,
      can: ({ commits }) => commits.length > 0,
      go: (world) => world.answerCommit(answer),
    }),
  );
const replayAnswer = fc.constantFrom("told" as const, "told" as const, "lost" as const, "failed" as const).map(
  (answer): Move<World> => ({
    name: `replay is ${answer}`,
    can: ({ replay }) => replay !== undefined,
    go: (world) => world.answerReplay(answer),
  }),
);
const sealAnswer = fc
  .constantFrom<SessionEvent>({ event: "sealed", upload: {} as UploadRow }, { event: "failed", error: "totals" })
  .map(
    (event): Move<World> => ({
      name: `seal is answered by ${event.event}`,
      can: ({ isSealing }) => isSealing,
      go: (world) => world.answerSeal(event),
    }),
  );

const MOVES: fc.Arbitrary<Move<World>>[] = [
  plainBatch,
  plainBatch,
  plainBatch,
  fc.integer({ min: -2_000, max: -1 }).map((shift) => sendBatch(shift, BATCH - 1)),
  fc.integer({ min: -10, max: 10 }).map((shift) => sendBatch(shift, 1)),
  always({
    name: "past the credit",
    can: ({ isListening }) => isListening,
    go: (world) => sendBatch(0, 20_000).go(world),
  }),
  always({
    name: "finish",
    can: ({ isListening }) => isListening,
    go: (world) => {
      const finish = { finalOffset: 0n, recordCount: 0n, connectedDurationMs: 0n };
      world.frame({ event: "finish", finish });
    },
  }),
  always({
    name: "input ends",
    // Of a reader that waits: the call was aborted.
    can: ({ state, isListening, isInputOver }) => !isInputOver && (isListening || readerOf(state) !== "reads"),
    go: (world) => world.endInput(),
  }),
  commitAnswer("told"),
  commitAnswer("told"),
  commitAnswer("told"),
  commitAnswer("partly told", "lost", "lost", "failed"),
  replayAnswer,
  replayAnswer,
  sealAnswer,
  plainPull,
  plainPull,
  plainPull,
  fc
    .record({
      hasRoom: fc.boolean(),
      end: fc.nat(7).map((drawn) => (drawn === 0 ? "DRAINING" : undefined)),
      isAborted: fc.nat(7).map((drawn) => drawn === 0),
      isHeartbeatDue: fc.boolean(),
    })
    .map(pull),
  fc.nat(7).map((drawn) => ({
    name: "fenced",
    can: () => drawn === 0,
    go: (world: World) => world.happen({ event: "failed", error: "superseded" }),
  })),
  fc.nat(7).map((drawn) => ({
    name: "left",
    can: (world: World) => !world.isOver && (drawn === 0 || world.hasEnded),
    go: (world: World) => world.happen({ event: "left" }),
  })),
];

const committedTold: SessionInvariant = () => {
  let [told, confirmed] = [START, START];
  return ({ event, effects }) => {
    if (event.event === "told" && event.end > confirmed) confirmed = event.end;
    for (const frame of framesOf(effects)) {
      if (frame.frame !== "ack" && frame.frame !== "heartbeat") continue;
      expect(frame.committedOffset >= told && frame.committedOffset <= confirmed).toBe(true);
      told = frame.committedOffset;
    }
  };
};

const creditRises: SessionInvariant = () => {
  let credit = START + BigInt(WINDOW);
  return ({ after, effects }) => {
    for (const frame of framesOf(effects)) {
      if (frame.frame !== "ack") continue;
      expect(frame.sendLimitOffset >= credit).toBe(true);
      expect(frame.sendLimitOffset <= frame.committedOffset + 3n * BigInt(WINDOW)).toBe(true);
      credit = frame.sendLimitOffset;
    }
    expect(after.at.sendLimit).toBe(credit);
  };
};

const commitsFollow: SessionInvariant = () => {
  let last: Commit | undefined;
  return ({ after, effects }) => {
    for (const effect of effects) {
      if (effect.effect !== "commit") continue;
      const { firstOffset } = effect.batch;
      if (last?.generation === effect.generation) {
        const end = last.batch.firstOffset + BigInt(last.batch.count);
        expect(firstOffset === end || (firstOffset > end && firstOffset <= after.at.committed)).toBe(true);
      }
      last = effect;
    }
    expect(after.at.inFlight).toBeGreaterThanOrEqual(0);
    expect(after.at.inFlight).toBeLessThanOrEqual(MAX_HELD_BATCHES);
  };
};

const rewindsHold: SessionInvariant = () => {
  let asked: bigint | undefined;
  return ({ before, event, after, effects }) => {
    for (const effect of effects) {
      if (effect.effect !== "commit" && effect.effect !== "replay") continue;
      if (asked !== undefined) expect(effect.batch.firstOffset).toBe(asked);
      asked = undefined;
    }
    const isNew = after.at.rewinds.length > before.at.rewinds.length;
    if (event.event !== "pulled" && isNew) asked = after.at.rewinds.at(-1)?.expectedOffset;
  };
};

const oldCommitsCount: SessionInvariant = () => {
  return ({ before, event, after }) => {
    if (event.event !== "storeLost" && event.event !== "failed") return;
    if (event.generation !== undefined && event.generation !== before.at.generation) expect(after).toEqual(before);
  };
};

const clearFirst: SessionInvariant = () => {
  return ({ after, effects }) => {
    const isAsked = effects.some(({ effect }) => effect === "replay" || effect === "seal");
    if (isAsked || after.name === "replaying" || after.name === "sealing") expect(after.at.inFlight).toBe(0);
  };
};

const toldOnce: SessionInvariant = () => {
  const waiting: bigint[] = [];
  return ({ before, event, effects }) => {
    if (event.event === "told" && before.name !== "over")
      waiting.push(...event.outcomes.map(({ recordOffset }) => recordOffset));
    for (const frame of framesOf(effects)) {
      if (frame.frame !== "ack") continue;
      expect(frame.outcomes.length).toBeLessThanOrEqual(MAX_ACK_OUTCOMES);
      const told = frame.outcomes.map(({ recordOffset }) => recordOffset);
      expect(told).toEqual(waiting.splice(0, told.length));
    }
  };
};

const outcomesBounded: SessionInvariant = () => {
  return ({ after }) => {
    const waiting = after.at.acks.reduce((sum, { outcomes }) => sum + outcomes.length, 0);
    expect(waiting).toBeLessThan(MAX_WAITING_OUTCOMES + BATCH + 3 * WINDOW);
  };
};

const toldBeforeTheEnd: SessionInvariant = () => {
  return ({ after, effects }) => {
    const isInOrder = framesOf(effects).some(({ frame }) => frame === "closing" || frame === "finished");
    if (!isInOrder) return;
    expect(after.at).toMatchObject({ inFlight: 0, acks: [], rewinds: [] });
  };
};

const storeIsSpared: SessionInvariant = () => {
  let failures = 0;
  return ({ before, event, after }) => {
    if (event.event === "told") failures = 0;
    const rewind = after.at.rewinds.at(-1);
    if (event.event !== "storeLost" || after.at.rewinds.length === before.at.rewinds.length) return;
    expect(rewind?.retryAfterMs).toBe(Math.min(5_000, 100 * 2 ** failures));
    failures++;
  };
};

function framesOf(effects: readonly SessionEffect[]): ServerFrame[] {
  return effects.flatMap((effect) => (effect.effect === "send" ? effect.frame : []));
}

testByWalks({
  table: SESSION_TABLE,
  file: new URL("session-state.ts", import.meta.url),
  open: (take) => new World(take),
  moves: MOVES,
  invariants: {
    "The committed offset that is told never falls, and never passes what the store has confirmed": committedTold,
    "The credit never falls, and never passes the committed offset by more than three windows": creditRises,
    "Commits of one generation never overlap, and leave out only what is committed": commitsFollow,
    "After a Rewind nothing is committed until a batch begins at the offset that it asked for": rewindsHold,
    "A commit from before a Rewind changes nothing": oldCommitsCount,
    "Repeats are replayed, and the upload is sealed, only while nothing is in flight": clearFirst,
    "Every outcome is told once, in Acks of at most 2,000": toldOnce,
    "Waiting outcomes are bounded: a client that reads no Ack cannot pile them up": outcomesBounded,
    "A stream that ends in order has told everything first": toldBeforeTheEnd,
    "A failing store is given 100 ms, doubled with each failure in a row, at most 5 s": storeIsSpared,
  },
});
