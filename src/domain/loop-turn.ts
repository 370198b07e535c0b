import { setImmediate } from "node:timers/promises";

/** How long work on many items may keep the event loop, milliseconds. */
const TURN_MS = 4;

/** Shares the event loop out: work on many items that never waits lets others have a turn. */
export class LoopTurn {
  #begunAt = performance.now();

  get isOver(): boolean {
    return performance.now() - this.#begunAt >= TURN_MS;
  }

  /** Lets everybody else have a turn. */
  async pass(): Promise<void> {
    await setImmediate();
    this.#begunAt = performance.now();
  }
}
