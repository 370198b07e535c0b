import fc from "fast-check";
import { expect, test } from "vitest";
import { assignPairs, type Edge } from "./assignment.ts";

const SIDE = 5;

const smallGraphs = fc.record({
  rowCount: fc.integer({ min: 1, max: SIDE }),
  columnCount: fc.integer({ min: 1, max: SIDE }),
  cells: fc.array(fc.option(fc.record({ timeMs: fc.nat(4), durationMs: fc.nat(3) }), { freq: 3 }), {
    minLength: SIDE * SIDE,
    maxLength: SIDE * SIDE,
  }),
});

function edgesOf({
  rowCount,
  columnCount,
  cells,
}: typeof smallGraphs extends fc.Arbitrary<infer T> ? T : never): Edge[] {
  return cells.flatMap((cell, index) => {
    const row = Math.floor(index / SIDE);
    const column = index % SIDE;
    return cell === null || row >= rowCount || column >= columnCount ? [] : [{ row, column, ...cell }];
  });
}

type Total = readonly [pairs: number, timeMs: number, durationMs: number];

test("the assignment has the most pairs, then the least time, then the least duration, of all that there are", () => {
  fc.assert(
    fc.property(smallGraphs, (graph) => {
      const edges = edgesOf(graph);
      const columnOf = assignPairs(graph.rowCount, graph.columnCount, edges);
      expect(totalOf(columnOf, edges)).toEqual(bestOf(graph.rowCount, edges, new Set(), 0));
    }),
    { numRuns: 500 },
  );
});

test("the assignment is one to one, and only of pairs that could be", () => {
  fc.assert(
    fc.property(smallGraphs, (graph) => {
      const edges = edgesOf(graph);
      const taken = [...assignPairs(graph.rowCount, graph.columnCount, edges).entries()].filter(
        ([, column]) => column >= 0,
      );
      expect(new Set(taken.map(([, column]) => column)).size).toBe(taken.length);
      for (const [row, column] of taken) {
        expect(edges.some((edge) => edge.row === row && edge.column === column)).toBe(true);
      }
    }),
  );
});

test("among equals the order of both sides is kept", () => {
  const edges = [0, 1, 2].flatMap((row) => [0, 1, 2].map((column) => ({ row, column, timeMs: 7, durationMs: 7 })));
  expect([...assignPairs(3, 3, edges)]).toEqual([0, 1, 2]);
});

test("a hundred pairs with times a day apart are still preferred to ninety-nine without a difference", () => {
  const edges = Array.from({ length: 100 }, (_, row) => [
    { row, column: row, timeMs: 86_400_000, durationMs: 86_400_000 },
    ...(row === 0 ? [] : [{ row, column: row - 1, timeMs: 0, durationMs: 0 }]),
  ]).flat();
  expect([...assignPairs(100, 100, edges)]).toEqual(Array.from({ length: 100 }, (_, row) => row));
});

function totalOf(columnOf: Int32Array, edges: readonly Edge[]): Total {
  const taken = edges.filter(({ row, column }) => columnOf[row] === column);
  return taken.reduce<Total>(([pairs, timeMs, durationMs], edge) => add([pairs, timeMs, durationMs], edge), [0, 0, 0]);
}

function add([pairs, timeMs, durationMs]: Total, edge: Edge): Total {
  return [pairs + 1, timeMs + edge.timeMs, durationMs + edge.durationMs];
}

// Every assignment there is, row by row.
function bestOf(rowCount: number, edges: readonly Edge[], used: ReadonlySet<number>, row: number): Total {
  if (row === rowCount) return [0, 0, 0];
  const choices = edges.filter((edge) => edge.row === row && !used.has(edge.column));
  return choices
    .map((edge) => add(bestOf(rowCount, edges, new Set([...used, edge.column]), row + 1), edge))
    .concat([bestOf(rowCount, edges, used, row + 1)])
    .sort(
      ([pairs, time, duration], [otherPairs, otherTime, otherDuration]) =>
        otherPairs - pairs || time - otherTime || duration - otherDuration,
    )
    .at(0) as Total;
}
