import { setTimeout as wait } from "node:timers/promises";
import { untilTick } from "../../domain/pulse.ts";
import { asOwn } from "./callers.ts";
import type { Database } from "./database.ts";

const INTERVAL_MS = 1_000;
/** After a first failure: a connection may have been cut that the next question does without. */
const DOUBT_MS = 250;
/** A database that takes longer does not answer. */
const ANSWER_MS = 5_000;

/** Whether the database answers. Dispose it to stop asking. */
export interface DatabaseWatch extends AsyncDisposable {
  /** True at first: whoever opens the watch has just used the database. */
  readonly answers: boolean;
  /** Tells a listener of each change, until disposed. */
  watch(listener: () => void): Disposable;
}

/**
 * Asks the database again and again whether it answers, on a connection of its own.
 * @param onChange is told of each change, with the last failure.
 */
export function openDatabaseWatch(db: Database, onChange: (answers: boolean, error: unknown) => void): DatabaseWatch {
  const stop = new AbortController();
  const { signal } = stop;
  const listeners = new Set<() => void>();
  let answers = true;
  const tell = (doesAnswer: boolean, error: unknown) => {
    if (doesAnswer === answers) return;
    answers = doesAnswer;
    onChange(doesAnswer, error);
    for (const listener of listeners) listener();
  };
  const run = async () => {
    for (let failures = 0; ; ) {
      const error = await findFailure(db, signal, (late) => tell(false, late));
      failures = error === undefined ? 0 : failures + 1;
      if (failures !== 1) tell(failures === 0, error);
      await wait(failures === 1 ? DOUBT_MS : untilTick(INTERVAL_MS), undefined, { signal });
    }
  };
  const running = asOwn("health", run).catch(() => {});
  return {
    get answers() {
      return answers;
    },
    watch: (listener) => {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

/** Returns why the database does not answer. One question: a silent one is not asked a thousand. */
async function findFailure(db: Database, signal: AbortSignal, onLate: (error: Error) => void): Promise<unknown> {
  const late = setTimeout(() => onLate(new Error(`no answer for ${ANSWER_MS} ms`)), ANSWER_MS);
  const stopped = Promise.withResolvers<never>();
  const stop = () => stopped.reject(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  try {
    await Promise.race([db.pulse.ask(), stopped.promise]);
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    return error;
  } finally {
    clearTimeout(late);
    signal.removeEventListener("abort", stop);
  }
}
