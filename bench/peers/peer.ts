import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** Somebody else's way to take the records, as durable as it can be. */
export interface Peer extends AsyncDisposable {
  readonly name: string;
  /** What it leaves out of what Tandem does with a record. */
  readonly lacks: string;
  /** Sends its records once, under a name that no other run has. */
  send(run: string): Promise<Sent>;
}

/** What came of a run: a rate, and the CPU time of all servers for a record. */
export interface Sent {
  readonly recordsPerSecond: number;
  readonly cpuMicros: number;
}

/** Where the records are: each has its length before it, four bytes, the highest first. */
export interface RecordFile {
  readonly path: string;
  readonly count: number;
}

/** How many carriers send at once, each its share of the records. */
export const CARRIERS = 4;

/** A program that a peer runs, and its last lines. */
export class Program implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "inherit"] });
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    child.once("error", () => child.stdout.destroy());
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The next line that it prints. */
  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`${this.#child.spawnfile} ended with ${this.#child.exitCode ?? this.#child.signalCode}`);
    return value;
  }

  /** Tells a client that waits to begin, and returns what it prints at its end. */
  async go(): Promise<{ seconds: number; stored: number }> {
    if ((await this.line()) !== "ready") throw new Error(`${this.#child.spawnfile} is not ready`);
    this.#child.stdin?.end("go\n");
    return JSON.parse(await this.line()) as { seconds: number; stored: number };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined) return;
    const exited = once(this.#child, "exit");
    this.#child.kill();
    await exited;
  }
}

/** Rates of a run that stored every record; throws if one is missing. */
export function sent(file: RecordFile, cpuMicros: number, { seconds, stored }: { seconds: number; stored: number }) {
  if (stored !== file.count) throw new Error(`${stored} of ${file.count} records were stored`);
  return { recordsPerSecond: file.count / seconds, cpuMicros: cpuMicros / file.count };
}
