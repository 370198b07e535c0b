import { monitorEventLoopDelay } from "node:perf_hooks";

/** How often the loop is looked at, milliseconds. */
const RESOLUTION_MS = 20;
/** Least span that the statistics are of, milliseconds: several may ask for them. */
const SPAN_MS = 10_000;

/** How late the process came to its work, seconds. */
export interface LoopDelay {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Watches how late the process comes to its work, until disposed. */
export class EventLoopWatch implements Disposable {
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #beganAt = performance.now();
  #before: LoopDelay | undefined;

  constructor() {
    this.#histogram.enable();
  }

  /** Of the last ten to twenty seconds, or so; undefined: nothing was seen yet. */
  read(): LoopDelay | undefined {
    const now = this.#present();
    const told = mostOf(this.#before, now);
    if (performance.now() - this.#beganAt >= SPAN_MS) {
      this.#before = now;
      this.#histogram.reset();
      this.#beganAt = performance.now();
    }
    return told;
  }

  [Symbol.dispose](): void {
    this.#histogram.disable();
  }

  #present(): LoopDelay | undefined {
    const { count } = this.#histogram;
    if (count === 0) return undefined;
    // Node counts the rest between two looks as well.
    const late = (nanos: number) => Math.max(0, nanos / 1e9 - RESOLUTION_MS / 1e3);
    return {
      p50: late(this.#histogram.percentile(50)),
      p99: late(this.#histogram.percentile(99)),
      max: late(this.#histogram.max),
    };
  }
}

function mostOf(left: LoopDelay | undefined, right: LoopDelay | undefined): LoopDelay | undefined {
  if (!left || !right) return left ?? right;
  return { p50: Math.max(left.p50, right.p50), p99: Math.max(left.p99, right.p99), max: Math.max(left.max, right.max) };
}
