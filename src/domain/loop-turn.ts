import { setImmediate } from "node:timers/promises";

/** How long work on many items may keep the event loop, milliseconds. */
const TURN_MS = 4;

/**
 * Shares the event loop out to work on many items that waits for nothing by itself: between two
 * items it lets others have their turn, once its own is over.
 */
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
