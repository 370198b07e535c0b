import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/**
 * A process of the benchmark's own, so that what a client costs is not taken for what the server
 * costs.
 */
export interface HelperProcess<Result> {
  /** Resolves when it has said that it is ready. */
  readonly ready: Promise<void>;
  /** What it says at its end. Rejects if it ends without. */
  readonly result: Promise<Result>;
  /** Tells it to go on. */
  go(): void;
}

/**
 * Starts a file of this folder with one argument, as JSON. It talks back with `sayReady` and
 * `sayResult`.
 */
export function startHelper<Result>(file: string, argument: object): HelperProcess<Result> {
  const child = fork(fileURLToPath(new URL(`./${file}`, import.meta.url)), [JSON.stringify(argument)]);
  const ready = Promise.withResolvers<void>();
  const result = Promise.withResolvers<Result>();
  // Whoever waits for one of them hears of it.
  ready.promise.catch(() => {});
  result.promise.catch(() => {});
  child.on("message", (message: { ready: true } | { result: Result }) => {
    if ("ready" in message) ready.resolve();
    else result.resolve(message.result);
  });
  child.once("exit", (code) => {
    const error = new Error(`${file} ended with ${code}`);
    ready.reject(error);
    result.reject(error);
  });
  return { ready: ready.promise, result: result.promise, go: () => void child.send("go") };
}

/** In the helper: its argument. */
export function helperArgument<Argument>(): Argument {
  return JSON.parse(process.argv[2] ?? "{}") as Argument;
}

/** In the helper: says that it is ready, and waits until it is told to go on. */
export async function sayReady(): Promise<void> {
  const told = once(process, "message");
  process.send?.({ ready: true });
  await told;
}

/** In the helper: says its result, and ends. */
export function sayResult(result: unknown): void {
  process.send?.({ result }, () => process.exit(0));
}
