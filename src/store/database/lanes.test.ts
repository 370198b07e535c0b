import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { TandemError } from "../../domain/errors.ts";
import { type Caller, callerKey } from "./callers.ts";
import { Lanes, type Place } from "./lanes.ts";

const carrier = (carrierId: string, signal?: AbortSignal): Caller => ({ kind: "carrier", carrierId, signal });
const platform = (identity: string): Caller => ({ kind: "platform", identity });
const JOBS: Caller = { kind: "jobs" };
const HUB: Caller = { kind: "own", work: "hub" };
const ACCESS: Caller = { kind: "own", work: "access" };

describe("shares", () => {
  test("of ten connections a carrier, a principal of the platform, and all jobs together hold three each, and own work one", async () => {
    const table = new Table({ connections: 10 });
    for (const caller of [carrier("a"), JOBS, platform("p"), HUB]) for (let n = 0; n < 5; n++) table.ask(caller);
    await settled();
    expect(table.heldBy).toEqual({ "carrier:a": 3, jobs: 3, "platform:p": 3, "own:hub": 1 });
  });

  test("all carriers leave a connection to the platform, and all of the platform one to the carriers", async () => {
    const table = new Table({ connections: 10 });
    for (const name of ["a", "b", "c", "d"]) for (let n = 0; n < 3; n++) table.ask(carrier(name));
    await settled();
    expect(table.held).toBe(8);
    table.ask(platform("p"));
    await settled();
    expect(table.heldBy["platform:p"]).toBe(1);

    const other = new Table({ connections: 10 });
    for (const name of ["p", "q", "r"]) for (let n = 0; n < 3; n++) other.ask(platform(name));
    await settled();
    expect(other.held).toBe(8);
    other.ask(carrier("a"));
    await settled();
    expect(other.heldBy["carrier:a"]).toBe(1);
  });

  test.each([1, 2, 3, 4])("with a pool of %i everybody is served, one after the other", async (connections) => {
    const table = new Table({ connections });
    for (const caller of [carrier("a"), carrier("b"), platform("p"), JOBS, HUB, ACCESS])
      for (let n = 0; n < 3; n++) table.ask(caller);
    for (let n = 0; n < 18; n++) {
      await settled();
      expect(table.held).toBeGreaterThan(0);
      expect(table.held).toBeLessThanOrEqual(connections);
      table.giveBack(0);
    }
    await settled();
    expect([table.served.length, table.held]).toEqual([18, 0]);
  });
});

describe("turns", () => {
  test("carriers that wait are served in turn, each in its own order", async () => {
    const table = new Table({ connections: 2 });
    for (const name of ["a", "a", "a", "a", "b", "c", "b"]) table.ask(carrier(name));
    for (let n = 0; n < 7; n++) {
      await settled();
      table.giveBack(0);
    }
    expect(table.served).toEqual(["a0", "a1", "b0", "c0", "a2", "b1", "a3"].map((name) => `carrier:${name}`));
  });

  test("whoever may not be served now keeps the place", async () => {
    const table = new Table({ connections: 10 });
    for (let n = 0; n < 4; n++) table.ask(carrier("a"));
    for (let n = 0; n < 4; n++) table.ask(carrier("b"));
    for (let n = 0; n < 4; n++) table.ask(carrier("c"));
    await settled();
    // Eight are held: a and b have three each, c two. What c gives back is c's again, as the others
    // have their share.
    table.giveBack(7);
    await settled();
    expect(table.served.slice(8)).toEqual(["carrier:c2"]);
    table.giveBack(0);
    await settled();
    expect(table.served.slice(9)).toEqual(["carrier:a3"]);
  });
});

describe("limits", () => {
  test("a caller that has too much waiting already is told to call again later; others may still wait", async () => {
    const lanes = new Lanes({ connections: 2, maxWaiting: 2 });
    using _held = await lanes.take(carrier("a"));
    const waiting = [lanes.take(carrier("a")), lanes.take(carrier("a"))];
    await expect(lanes.take(carrier("a"))).rejects.toMatchObject({ reason: "RATE_LIMITED" });
    const other = lanes.take(carrier("b"));
    expect(lanes.state.carrier.waiting).toBe(3);
    _held[Symbol.dispose]();
    (await waiting[0])?.[Symbol.dispose]();
    (await other)[Symbol.dispose]();
    (await waiting[1])?.[Symbol.dispose]();
    expect(lanes.state.carrier).toEqual({ held: 0, waiting: 0, longestWaitMs: 0 });
  });

  test("all that wait are limited too", async () => {
    const lanes = new Lanes({ connections: 2, maxWaitingInAll: 2 });
    using _held = await lanes.take(carrier("a"));
    const waiting = [lanes.take(carrier("a")), lanes.take(carrier("b"))];
    await expect(lanes.take(carrier("c"))).rejects.toMatchObject({ reason: "STORE_UNAVAILABLE" });
    _held[Symbol.dispose]();
    for (const each of waiting) (await each)[Symbol.dispose]();
  });

  test("a wait ends when its time is over, and leaves nothing", async () => {
    const lanes = new Lanes({ connections: 2, maxWaitMs: 1, maxJobWaitMs: 1 });
    const held = await lanes.take(carrier("a"));
    const failures = await Promise.all(
      [carrier("a"), JOBS].map((caller) => lanes.take(caller).catch((error) => error)),
    );
    for (const failure of failures) {
      expect(failure).toBeInstanceOf(TandemError);
      expect(failure.reason).toBe("STORE_UNAVAILABLE");
    }
    held[Symbol.dispose]();
    expect([lanes.state.carrier, lanes.state.jobs]).toEqual(Array(2).fill({ held: 0, waiting: 0, longestWaitMs: 0 }));
  });

  test("a wait in a line that moves lasts longer than one in a line that stands", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    try {
      const lanes = new Lanes({ connections: 2, maxWaitMs: 10, maxMovingWaitMs: 1_000 });
      let held = await lanes.take(carrier("a"));
      const line = Array.from({ length: 20 }, () => lanes.take(carrier("a")));
      for (const next of line) {
        vi.advanceTimersByTime(9);
        held[Symbol.dispose]();
        held = await next;
      }
      const late = [carrier("a"), carrier("b")].map((caller) => lanes.take(caller).catch((error) => error.reason));
      vi.advanceTimersByTime(10);
      expect(await Promise.all(late)).toEqual(["STORE_UNAVAILABLE", "STORE_UNAVAILABLE"]);
    } finally {
      vi.useRealTimers();
    }
  });

  test("a wait is given up when its call ends; what begins after that waits as others do", async () => {
    const lanes = new Lanes({ connections: 2 });
    const held = await lanes.take(carrier("a"));
    const call = new AbortController();
    const given = lanes.take(carrier("a", call.signal));
    call.abort(new Error("gone"));
    await expect(given).rejects.toMatchObject({ name: "AbortError", cause: { message: "gone" } });
    const after = lanes.take(carrier("a", call.signal));
    held[Symbol.dispose]();
    (await after)[Symbol.dispose]();
    expect(lanes.state.carrier).toEqual({ held: 0, waiting: 0, longestWaitMs: 0 });
  });
});

describe("a call that nobody watches", () => {
  /** Judged a minute ago, and good so many times more. */
  const judgedBefore = (left: number, atMs = performance.now() - 60_000) => {
    let count = 0;
    const again = async () => {
      count++;
      if (count > left) throw new Error("put out");
    };
    return { judged: { atMs, again }, count: () => count };
  };

  test("is judged again and again while it waits; once it may no longer be served it leaves the line, and is told why", async () => {
    const lanes = new Lanes({ connections: 2, judgeMs: 1 });
    using _held = await lanes.take(carrier("a"));
    const { judged, count } = judgedBefore(3);
    await expect(lanes.take({ ...carrier("a"), judged })).rejects.toThrow("put out");
    expect(count()).toBe(4);
    expect(lanes.state.carrier).toMatchObject({ held: 1, waiting: 0 });
  });

  test("is judged before it gets a connection at once, if that was long ago", async () => {
    const lanes = new Lanes({ connections: 2 });
    const fresh = judgedBefore(0, performance.now());
    (await lanes.take({ ...carrier("a"), judged: fresh.judged }))[Symbol.dispose]();
    expect(fresh.count()).toBe(0);
    await expect(lanes.take({ ...carrier("a"), judged: judgedBefore(0).judged })).rejects.toThrow("put out");
    expect(lanes.state.carrier).toMatchObject({ held: 0, waiting: 0 });
  });
});

test("it tells how long each waited, and how long the one has that waits for longest", async () => {
  const lanes = new Lanes({ connections: 2 });
  const told: string[] = [];
  using _watch = lanes.watch((caller, waitedMs) => told.push(`${callerKey(caller)} ${waitedMs === 0}`));
  const held = await lanes.take(carrier("a"));
  const waiting = lanes.take(platform("p"));
  await expect.poll(() => lanes.state.platform.longestWaitMs).toBeGreaterThan(0);
  expect(lanes.state.platform).toMatchObject({ held: 0, waiting: 1 });
  held[Symbol.dispose]();
  (await waiting)[Symbol.dispose]();
  expect(told).toEqual(["carrier:a true", "platform:p false"]);
});

test("whatever comes and goes: no share is passed, nothing is idle that somebody may have, everybody is served, and nothing stays", async () => {
  const caller = fc.constantFrom(
    carrier("a"),
    carrier("b"),
    carrier("c"),
    platform("p"),
    platform("q"),
    JOBS,
    HUB,
    ACCESS,
  );
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant("ask" as const), caller }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("giveBack" as const), which: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("hangUp" as const), which: fc.nat(20) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 20 }), fc.array(step, { maxLength: 80 }), async (connections, steps) => {
      const table = new Table({ connections });
      for (const each of steps) {
        if (each.do === "ask") table.ask(each.caller);
        else if (each.do === "giveBack") table.giveBack(each.which);
        else table.hangUp(each.which);
        await settled();
        table.assertFair(connections);
      }
      // Whoever still waits is served within as many turns as there are.
      for (let left = table.waiting.length + table.held; left > 0; left--) {
        table.giveBack(0);
        await settled();
        table.assertFair(connections);
      }
      expect({ held: table.held, waiting: table.waiting }).toEqual({ held: 0, waiting: [] });
      for (const state of Object.values(table.lanes.state))
        expect(state).toEqual({ held: 0, waiting: 0, longestWaitMs: 0 });
      for (const order of table.orders) expect(order).toEqual([...order].sort((left, right) => left - right));
    }),
  );
});

/** Everyone who asked, and who holds what. */
class Table {
  readonly lanes: Lanes;
  readonly served: string[] = [];
  readonly #asked: Asked[] = [];
  readonly #counts = new Map<string, number>();

  constructor(options: ConstructorParameters<typeof Lanes>[0]) {
    this.lanes = new Lanes(options);
  }

  ask(caller: Caller): void {
    const key = callerKey(caller);
    const number = this.#counts.get(key) ?? 0;
    this.#counts.set(key, number + 1);
    const call = new AbortController();
    const asked: Asked = { key, kind: caller.kind, number, call, state: "waiting" };
    this.#asked.push(asked);
    this.lanes.take({ ...caller, signal: call.signal }).then(
      (place) => {
        asked.state = "held";
        asked.place = place;
        this.served.push(`${key}${number}`);
      },
      () => {
        asked.state = "left";
      },
    );
  }

  giveBack(which: number): void {
    const held = this.#in("held");
    const asked = held[which % Math.max(1, held.length)];
    if (!asked) return;
    asked.state = "left";
    asked.place?.[Symbol.dispose]();
    asked.place?.[Symbol.dispose]();
  }

  hangUp(which: number): void {
    const { waiting } = this;
    waiting[which % Math.max(1, waiting.length)]?.call.abort();
  }

  get waiting(): Asked[] {
    return this.#in("waiting");
  }

  get held(): number {
    return this.#in("held").length;
  }

  get heldBy(): Record<string, number> {
    return Object.fromEntries(
      [...Map.groupBy(this.#in("held"), ({ key }) => key)].map(([key, all]) => [key, all.length]),
    );
  }

  /** For each caller, in which order it was served. */
  get orders(): number[][] {
    return [...Map.groupBy(this.served, (name) => name.replace(/\d+$/, "")).values()].map((names) =>
      names.map((name) => Number(/\d+$/.exec(name)?.[0])),
    );
  }

  assertFair(connections: number): void {
    const own = connections > 1 ? 1 : 0;
    const share = Math.max(1, Math.floor(connections * 0.3));
    const held = this.#in("held");
    const ofKind = (kind: string) => held.filter((each) => each.kind === kind).length;
    const shared = connections - own;
    const free = shared - held.filter((each) => own === 0 || each.kind !== "own").length;
    expect(free).toBeGreaterThanOrEqual(0);
    if (own === 1) expect(ofKind("own")).toBeLessThanOrEqual(1);
    for (const [key, count] of Object.entries(this.heldBy)) expect(count, key).toBeLessThanOrEqual(share);
    const keeps = (kind: string) => (shared >= 4 && ofKind(kind) === 0 ? 1 : 0);
    for (const { key, kind } of this.waiting) {
      if (own === 1 && kind === "own") expect(ofKind("own"), key).toBe(1);
      else {
        const kept = (kind === "platform" ? 0 : keeps("platform")) + (kind === "carrier" ? 0 : keeps("carrier"));
        expect((this.heldBy[key] ?? 0) >= share || free <= kept, key).toBe(true);
      }
    }
  }

  #in(state: Asked["state"]): Asked[] {
    return this.#asked.filter((asked) => asked.state === state);
  }
}

interface Asked {
  readonly key: string;
  readonly kind: string;
  readonly number: number;
  readonly call: AbortController;
  state: "waiting" | "held" | "left";
  place?: Place;
}

async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
