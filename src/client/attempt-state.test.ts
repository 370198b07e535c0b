import fc from "fast-check";
import { expect } from "vitest";
import { type Invariant, type Move, type Take, testByWalks } from "../../test/support/state-walk.ts";
import {
  ATTEMPT_TABLE,
  type AttemptEffect,
  type AttemptEvent,
  type AttemptState,
  beginAttempt,
} from "./attempt-state.ts";

const BATCH = 10;
const HEARTBEAT_MS = 1_000;

type AttemptInvariant = Invariant<AttemptState, AttemptEvent, AttemptEffect>;

/** A server, a source and a transport around the states, in which everything takes its time. */
class World {
  state = beginAttempt(BATCH, false, 0);
  asked: (AttemptEffect & { effect: "read" | "sum" }) | undefined;
  now = 0;
  /** One past the last record that was ever sent. */
  sent = 0;
  sourceLength = 60;
  hasFailed = false;
  readonly #take: Take<AttemptState, AttemptEvent, AttemptEffect>;

  constructor(take: Take<AttemptState, AttemptEvent, AttemptEffect>) {
    this.#take = take;
  }

  happen(event: AttemptEvent): void {
    const { state, effects } = this.#take(this.state, event);
    if (effects.some(({ effect }) => effect === "sendBatch")) this.sent = Math.max(this.sent, state.at.next);
    this.state = state;
    for (const effect of effects) {
      if (effect.effect === "read" || effect.effect === "sum") this.asked = effect;
      if (effect.effect === "fail") this.hasFailed = true;
    }
  }

  answer(count: number): void {
    const asked = this.asked as NonNullable<World["asked"]>;
    this.asked = undefined;
    if (asked.effect === "sum") this.happen({ event: "summed" });
    else {
      const left = Math.max(0, this.sourceLength - asked.offset);
      this.happen({ event: "read", offset: asked.offset, count: Math.min(count, asked.limit, left) });
    }
  }
}

const whenOpen = ({ state }: World) => state.name !== "opening";
const isAsked = ({ asked }: World) => asked !== undefined;

const opened = fc.record({ committed: fc.nat(15), replayed: fc.nat(5), length: fc.integer({ min: 0, max: 60 }) }).map(
  ({ committed, replayed, length }): Move<World> => ({
    name: `opened(${committed}, ${replayed} again)`,
    can: (world) => world.state.name === "opening" || committed === 0,
    go: (world) => {
      if (world.state.name === "opening") world.sourceLength = length;
      const sendFrom = Math.max(0, committed - replayed);
      world.sent = Math.max(world.sent, committed);
      const limits = { heartbeatMs: HEARTBEAT_MS, maxBatchRecords: 8 };
      world.happen({ event: "opened", committed, sendFrom, sendLimit: committed + 25, ...limits });
    },
  }),
);
const committed = fc.nat(30).map(
  (count): Move<World> => ({
    name: `committed(${count})`,
    can: () => true,
    go: (world) => {
      const offset = Math.min(world.state.at.committed + count, world.sent);
      world.happen({ event: "committed", offset });
    },
  }),
);
const credited = fc.nat(30).map(
  (count): Move<World> => ({
    name: `credited(${count})`,
    can: () => true,
    go: (world) => world.happen({ event: "credited", sendLimit: world.state.at.committed + count }),
  }),
);
const rewound = fc.tuple(fc.nat(20), fc.nat(500)).map(
  ([back, pauseMs]): Move<World> => ({
    name: `rewound(${back}, ${pauseMs} ms)`,
    can: () => true,
    go: (world) => {
      const offset = Math.max(0, world.sent - back);
      world.happen({ event: "rewound", offset, notBefore: world.now + pauseMs });
    },
  }),
);
const pulled = fc.nat(400).map(
  (ms): Move<World> => ({
    name: `pulled after ${ms} ms`,
    can: ({ state, hasFailed }) => state.name !== "over" && !hasFailed,
    go: (world) => {
      world.now += ms;
      world.happen({ event: "pulled", now: world.now });
    },
  }),
);
const answered = fc
  .integer({ min: 1, max: BATCH })
  .map((count): Move<World> => ({ name: `answered(${count})`, can: isAsked, go: (world) => world.answer(count) }));
const MOVES: fc.Arbitrary<Move<World>>[] = [
  opened,
  committed,
  committed,
  credited,
  fc.oneof({ weight: 1, arbitrary: rewound }, { weight: 3, arbitrary: committed }),
  pulled,
  pulled,
  pulled,
  pulled,
  answered,
  answered,
  answered,
  fc.constantFrom(true, false, false, false, false).map((isMeant) => ({
    name: "source fails",
    can: (world: World) => isMeant && isAsked(world) && whenOpen(world),
    go: (world: World) => {
      world.asked = undefined;
      world.happen({ event: "failed", fault: "the source is gone" });
    },
  })),
];

const openFirst: AttemptInvariant = () => {
  return ({ before, effects }) => {
    if (before.name === "opening") expect(effects.filter(({ effect }) => effect !== "rest")).toEqual([]);
  };
};

const batchesFollow: AttemptInvariant = () => {
  let next: number | undefined;
  let read: { offset: number; count: number } | undefined;
  return ({ event, effects }) => {
    if (event.event === "opened") next = event.sendFrom;
    if (event.event === "rewound") next = event.offset;
    if (event.event === "read") read = event;
    if (!effects.some(({ effect }) => effect === "sendBatch")) return;
    expect(read?.offset).toBe(next);
    next = (read?.offset ?? 0) + (read?.count ?? 0);
  };
};

const creditHolds: AttemptInvariant = () => {
  return ({ after, effects }) => {
    const isSent = effects.some(({ effect }) => effect === "sendBatch");
    if (isSent) expect(after.at.next).toBeLessThanOrEqual(after.at.sendLimit);
  };
};

const wholeBatches: AttemptInvariant = () => {
  return ({ before, effects }) => {
    for (const effect of effects) {
      if (effect.effect !== "read") continue;
      const isInFlight = effect.offset > before.at.committed;
      if (isInFlight) expect(effect.limit).toBe(before.at.batchRecords);
      expect(effect.limit).toBeGreaterThan(0);
      expect(effect.limit).toBeLessThanOrEqual(before.at.batchRecords);
    }
  };
};

const oneReading: AttemptInvariant = () => {
  let isReading = false;
  return ({ event, effects }) => {
    if (event.event === "read" || event.event === "summed" || event.event === "failed") isReading = false;
    const begun = effects.filter(({ effect }) => effect === "read" || effect === "sum");
    expect(begun.length + Number(isReading)).toBeLessThanOrEqual(1);
    isReading ||= begun.length > 0;
  };
};

const pausesKept: AttemptInvariant = () => {
  return ({ before, event, effects }) => {
    if (event.event !== "pulled") return;
    const sent = effects.map(({ effect }) => effect).filter((effect) => effect.startsWith("send"));
    if (event.now < before.at.notBefore) expect(sent.filter((effect) => effect !== "sendKeepAlive")).toEqual([]);
    const isDue = event.now >= before.at.sentAt + before.at.heartbeatMs;
    if (sent.includes("sendKeepAlive")) expect(isDue).toBe(true);
    if (isDue && before.name !== "opening" && before.name !== "failed") expect(sent).toHaveLength(1);
  };
};

const finishIsLast: AttemptInvariant = () => {
  let isFinished = false;
  return ({ before, after, effects }) => {
    if (isFinished) expect(effects).toEqual([]);
    if (!effects.some(({ effect }) => effect === "sendFinish")) return;
    isFinished = true;
    expect(after.name).toBe("over");
    expect(before).toMatchObject({ name: "closing", course: before.at.course });
    expect(before.at.committed).toBeGreaterThanOrEqual(before.at.sourceEnd ?? Number.POSITIVE_INFINITY);
  };
};

testByWalks({
  table: ATTEMPT_TABLE,
  file: new URL("attempt-state.ts", import.meta.url),
  open: (take) => new World(take),
  moves: MOVES,
  invariants: {
    "Nothing but Open is sent before Opened": openFirst,
    "Batches of one course follow each other, from where its Rewind asked": batchesFollow,
    "No batch reaches past the credit": creditHolds,
    "A batch that the credit cuts short is read only when nothing is in flight": wholeBatches,
    "One reading at a time": oneReading,
    "Nothing is sent in a Rewind's pause but KeepAlive, and that when it is due": pausesKept,
    "Finish comes last, with all of the source committed, and never for an old course": finishIsLast,
  },
});
