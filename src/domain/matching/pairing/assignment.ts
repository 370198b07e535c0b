/** A possible pair, by positions, and its distances. */
export interface Edge {
  readonly row: number;
  readonly column: number;
  /** Difference of like times, milliseconds, 0 or more. */
  readonly timeMs: number;
  /** Difference of the durations, milliseconds, 0 or more. */
  readonly durationMs: number;
  /** Equal in every figure; outweighs the number of pairs. */
  readonly isExact?: boolean;
}

/**
 * The one-to-one assignment with the most exact pairs, then the most pairs, then the least time
 * difference, the least duration difference, and the first rows and columns. Returns each row's
 * column, -1: none.
 *
 * The Hungarian method, O(rows² · columns). Costs are two numbers, since their sum does not fit 53
 * bits. At most 200 rows and columns together.
 */
export function assignPairs(rowCount: number, columnCount: number, edges: readonly Edge[]): Int32Array {
  if (rowCount > columnCount) return turn(assignPairs(columnCount, rowCount, edges.map(turnEdge)), rowCount);
  const costs = readCosts(rowCount, columnCount, edges);
  const rowOf = solve(rowCount, columnCount, costs);
  const columnOf = new Int32Array(rowCount).fill(-1);
  for (let column = 1; column <= columnCount; column++) {
    const row = (rowOf[column] ?? 0) - 1;
    if (row >= 0 && (costs.high[row * columnCount + column - 1] ?? NO_PAIR) < NO_PAIR) columnOf[row] = column - 1;
  }
  return columnOf;
}

/**
 * The weight of an exact pair, in pairs. Along an alternating path one assignment has at most one
 * pair more, so any weight over two puts exact pairs first.
 */
const EXACT = 3;
/** More than 200 pairs that are 24 h apart can cost, so no saving is worth a pair. */
const NO_PAIR = 2 ** 36;
const LONGEST_MS = 86_400_000;
/** More than the positions of 100 pairs together. */
const POSITIONS = 32_768;

type Costs = ReturnType<typeof readCosts>;

function readCosts(rowCount: number, columnCount: number, edges: readonly Edge[]) {
  const high = new Float64Array(rowCount * columnCount).fill(NO_PAIR);
  const low = new Float64Array(rowCount * columnCount);
  for (const { row, column, timeMs, durationMs, isExact } of edges) {
    high[row * columnCount + column] = timeMs - (isExact === true ? (EXACT - 1) * NO_PAIR : 0);
    low[row * columnCount + column] = Math.min(durationMs, LONGEST_MS) * POSITIONS + row + column;
  }
  return { high, low };
}

function turnEdge({ row, column, ...edge }: Edge): Edge {
  return { row: column, column: row, ...edge };
}

function turn(columnOf: Int32Array, count: number): Int32Array {
  const rowOf = new Int32Array(count).fill(-1);
  for (const [row, column] of columnOf.entries()) if (column >= 0) rowOf[column] = row;
  return rowOf;
}

// Positions count from 1; 0 is the row being placed. The names are the usual ones.
function startSearch(rowCount: number, columnCount: number, costs: Costs) {
  return {
    columnCount,
    costs,
    rowOf: new Int32Array(columnCount + 1),
    way: new Int32Array(columnCount + 1),
    rowHigh: new Float64Array(rowCount + 1),
    rowLow: new Float64Array(rowCount + 1),
    columnHigh: new Float64Array(columnCount + 1),
    columnLow: new Float64Array(columnCount + 1),
    slackHigh: new Float64Array(columnCount + 1),
    slackLow: new Float64Array(columnCount + 1),
    isUsed: new Uint8Array(columnCount + 1),
  };
}

type Search = ReturnType<typeof startSearch>;

function solve(rowCount: number, columnCount: number, costs: Costs): Int32Array {
  const state = startSearch(rowCount, columnCount, costs);
  for (let row = 1; row <= rowCount; row++) {
    state.rowOf[0] = row;
    state.slackHigh.fill(Number.POSITIVE_INFINITY);
    state.slackLow.fill(0);
    state.isUsed.fill(0);
    let column = 0;
    do {
      column = widen(state, column);
    } while (state.rowOf[column] !== 0);
    while (column !== 0) {
      const before = at(state.way, column);
      state.rowOf[column] = at(state.rowOf, before);
      column = before;
    }
  }
  return state.rowOf;
}

// Adds the nearest column outside the tree.
function widen(search: Search, from: number): number {
  const { columnCount, costs, rowOf, way, rowHigh, rowLow, columnHigh, columnLow, slackHigh, slackLow, isUsed } =
    search;
  isUsed[from] = 1;
  const row = at(rowOf, from);
  let nearest = 0;
  let nearestHigh = Number.POSITIVE_INFINITY;
  let nearestLow = 0;
  for (let column = 1; column <= columnCount; column++) {
    if (isUsed[column] === 1) continue;
    const cell = (row - 1) * columnCount + column - 1;
    const high = at(costs.high, cell) - at(rowHigh, row) - at(columnHigh, column);
    const low = at(costs.low, cell) - at(rowLow, row) - at(columnLow, column);
    if (isLess(high, low, at(slackHigh, column), at(slackLow, column))) {
      slackHigh[column] = high;
      slackLow[column] = low;
      way[column] = from;
    }
    if (isLess(at(slackHigh, column), at(slackLow, column), nearestHigh, nearestLow)) {
      nearestHigh = at(slackHigh, column);
      nearestLow = at(slackLow, column);
      nearest = column;
    }
  }
  shift(search, nearestHigh, nearestLow);
  return nearest;
}

function shift(search: Search, high: number, low: number): void {
  const { columnCount, rowOf, rowHigh, rowLow, columnHigh, columnLow, slackHigh, slackLow, isUsed } = search;
  for (let column = 0; column <= columnCount; column++) {
    if (isUsed[column] === 1) {
      const row = at(rowOf, column);
      rowHigh[row] = at(rowHigh, row) + high;
      rowLow[row] = at(rowLow, row) + low;
      columnHigh[column] = at(columnHigh, column) - high;
      columnLow[column] = at(columnLow, column) - low;
    } else {
      slackHigh[column] = at(slackHigh, column) - high;
      slackLow[column] = at(slackLow, column) - low;
    }
  }
}

function isLess(highA: number, lowA: number, highB: number, lowB: number): boolean {
  return highA < highB || (highA === highB && lowA < lowB);
}

function at(values: Float64Array | Int32Array, index: number): number {
  return values[index] ?? 0;
}
