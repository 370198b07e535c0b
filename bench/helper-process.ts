import { fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * A process of the benchmark's own, so that what a client costs is not taken for what the server
 * costs.
 */
export interface HelperProcess<Result, Ready = void> {
  /** Resolves when it has said that it is ready, with what it said. */
  readonly ready: Promise<Ready>;
  /** What it says at its end. Rejects if it ends without. */
  readonly result: Promise<Result>;
  /** Tells it to go on. */
  go(): void;
}

/**
 * Starts a file of this folder with one argument, as JSON, and flags of Node's. It talks back with
 * `sayReady` and `sayResult`.
 */
export function startHelper<Result, Ready = void>(
  file: string,
  argument: object,
  flags: readonly string[] = [],
): HelperProcess<Result, Ready> {
  const path = fileURLToPath(new URL(`./${file}`, import.meta.url));
  // In a file: tokens of a thousand carriers are more than a command line takes.
  const argumentFile = join(tmpdir(), `tandem-bench-argument-${randomUUID()}.json`);
  writeFileSync(argumentFile, JSON.stringify(argument), { mode: 0o600 });
  const child = fork(path, [argumentFile], { execArgv: [...flags] });
  const ready = Promise.withResolvers<Ready>();
  const result = Promise.withResolvers<Result>();
  // Whoever waits for one of them hears of it.
  ready.promise.catch(() => {});
  result.promise.catch(() => {});
  child.on("message", (message: { ready: Ready } | { result: Result }) => {
    if ("ready" in message) ready.resolve(message.ready);
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
  const [, , argumentFile = ""] = process.argv;
  const argument = readFileSync(argumentFile, "utf8");
  rmSync(argumentFile);
  return JSON.parse(argument) as Argument;
}

/** In the helper: says that it is ready, and waits until it is told to go on. */
export async function sayReady(ready: object = {}): Promise<void> {
  const told = once(process, "message");
  process.send?.({ ready });
  await told;
}

/** In the helper: says its result, and ends. */
export function sayResult(result: unknown): void {
  process.send?.({ result }, () => process.exit(0));
}
