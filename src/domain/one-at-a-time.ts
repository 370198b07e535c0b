/**
 * Runs something one at a time. Whoever asks during a run gets one that begins later, since the
 * current run may have read what was there before. All who ask meanwhile share it.
 */
export class OneAtATime<T> {
  readonly #work: () => Promise<T>;
  #running: Promise<T> | undefined;
  #next: Promise<T> | undefined;

  constructor(work: () => Promise<T>) {
    this.#work = work;
  }

  /** Resolves or rejects as a run does that begins from now on. */
  run(): Promise<T> {
    if (this.#next !== undefined) return this.#next;
    if (this.#running === undefined) return this.#begin();
    const begin = () => {
      this.#next = undefined;
      return this.#begin();
    };
    this.#next = this.#running.then(begin, begin);
    return this.#next;
  }

  /** The last run that is under way or asked for; undefined: there is none. */
  get pending(): Promise<T> | undefined {
    return this.#next ?? this.#running;
  }

  #begin(): Promise<T> {
    const run = this.#work().finally(() => {
      if (this.#running === run) this.#running = undefined;
    });
    this.#running = run;
    return run;
  }
}
