import type { Reading, Row, RowReader } from "./format.ts";

/** The reader of a format in which each row is a call of its own. */
export function rowByRow(read: (row: Row) => Reading): RowReader {
  return { take: (row) => (row.isHeader ? [] : [read(row)]), end: () => [] };
}

/** Whether a header names all of these columns, in any case. */
export function hasColumns(fields: readonly string[], ...columns: readonly string[]): boolean {
  const names = new Set(fields.map((field) => field.toLowerCase()));
  return columns.every((column) => names.has(column));
}

/** Rows that wait for a later one, oldest first; the oldest make room for new ones. */
export class Waiting<T> {
  readonly #limit: number;
  readonly #byKey = new Map<string, T>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: string): T | undefined {
    return this.#byKey.get(key);
  }

  /** Keeps it, and returns what had to leave: the oldest, or the one of the same key. */
  put(key: string, value: T): T | undefined {
    const same = this.take(key);
    this.#byKey.set(key, value);
    if (same !== undefined || this.#byKey.size <= this.#limit) return same;
    const [oldest] = this.#byKey.keys();
    return oldest === undefined ? undefined : this.take(oldest);
  }

  take(key: string): T | undefined {
    const value = this.#byKey.get(key);
    this.#byKey.delete(key);
    return value;
  }

  /** All of them, oldest first. None is left. */
  drain(): T[] {
    const all = [...this.#byKey.values()];
    this.#byKey.clear();
    return all;
  }
}

/** Most rows that wait for another one. */
export const MAX_WAITING = 50_000;
