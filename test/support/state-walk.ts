import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { impossible, type StateTable, type Step, stepOf } from "../../src/domain/state-table.ts";

const SEED = Number(process.env["TANDEM_TEST_SEED"] ?? 1);
const RUNS = Number(process.env["TANDEM_TEST_RUNS"] ?? 200);
/** More for the table: some cells are reached seldom. */
const TABLE_RUNS = 5 * RUNS;
const MAX_MOVES = 80;

/** One step that was taken. */
interface Taken<State, Event, Effect> {
  readonly before: State;
  readonly event: Event;
  readonly after: State;
  readonly effects: readonly Effect[];
}

/** Takes a step from a state. */
export type Take<State, Event, Effect> = (state: State, event: Event) => Step<State, Effect>;

/** Made for each walk anew; expects of every step what always holds. */
export type Invariant<State, Event, Effect> = () => (taken: Taken<State, Event, Effect>) => void;

/** What may happen to a world at random. */
export interface Move<World> {
  readonly name: string;
  readonly can: (world: World) => boolean;
  readonly go: (world: World) => void;
}

/** A machine of states and the world around it, which answers what the machine asks for. */
interface Walk<State extends { name: string }, Event extends { event: string }, Effect, World> {
  readonly table: StateTable<State, Event, Effect>;
  /** The file whose head names the invariants. */
  readonly file: URL;
  readonly invariants: Readonly<Record<string, Invariant<State, Event, Effect>>>;
  /** The world keeps the state that `take` returns. */
  readonly open: (take: Take<State, Event, Effect>) => World;
  /** Named as often as they are to be drawn. */
  readonly moves: readonly fc.Arbitrary<Move<World>>[];
}

/**
 * Tests a machine by random walks: one test for each invariant, and one that every cell of the
 * table is reached by some walk, or can never be.
 */
export function testByWalks<State extends { name: string }, Event extends { event: string }, Effect, World>(
  walk: Walk<State, Event, Effect, World>,
): void {
  const step = stepOf(walk.table);
  const commands = walk.moves.map((moves) => moves.map(commandOf));
  const walkRandomly = (invariant: Invariant<State, Event, Effect>, numRuns = RUNS) =>
    fc.assert(
      fc.property(fc.commands(commands, { maxCommands: MAX_MOVES, size: "max" }), (sequence) => {
        const check = invariant();
        const world = walk.open((before, event) => {
          const { state: after, effects } = step(before, event);
          check({ before, event, after, effects });
          return { state: after, effects };
        });
        fc.modelRun(() => ({ model: world as object, real: undefined }), sequence);
      }),
      { numRuns, seed: SEED },
    );

  test.each(Object.entries(walk.invariants))("%s", (_name, invariant) => walkRandomly(invariant));

  test("the head of the file names each invariant as its test does", () => {
    const head = readFileSync(walk.file, "utf8").split("*/")[0] ?? "";
    const named = head.replaceAll(/\n \* {3}/g, " ").matchAll(/^ \* - (.+)\.$/gm);
    expect([...named].map(([, name]) => name)).toEqual(Object.keys(walk.invariants));
  });

  test("the table has no hole: walks reach each cell that is not said to be impossible, and none that is", () => {
    const reached = new Set<string>();
    const reach: Invariant<State, Event, Effect> = () => {
      return ({ before, event }) => reached.add(`${before.name}/${event.event}`);
    };
    walkRandomly(reach, TABLE_RUNS);
    const possible = Object.entries(walk.table).flatMap(([name, row]) =>
      Object.entries(row as Record<string, unknown>)
        .filter(([, cell]) => cell !== impossible)
        .map(([event]) => `${name}/${event}`),
    );
    expect([...reached].toSorted()).toEqual(possible.toSorted());
  });
}

function commandOf<World>({ name, can, go }: Move<World>): fc.Command<object, undefined> {
  return {
    check: (world) => can(world as World),
    run: (world) => go(world as World),
    toString: () => name,
  };
}
