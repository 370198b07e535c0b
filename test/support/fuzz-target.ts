import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { ServerNews, ServerQuestion, ServerState } from "./fuzz-server.ts";

const PROGRAM = join(import.meta.dirname, "fuzz-server.ts");

/**
 * The server under fuzzing, in a process of its own, so that its memory is its own and its crash
 * does not end the test.
 */
export class FuzzTarget implements AsyncDisposable {
  readonly #child: ChildProcess;
  /** What it logged at level warn and above, and what Node warned of. */
  readonly logged: string[] = [];
  /** What it wrote to standard error past its log. */
  #output = "";
  #url = "";

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on("message", (news: ServerNews) => {
      if ("logged" in news) this.logged.push(news.logged);
    });
    child.stderr?.on("data", (chunk: Buffer) => {
      this.#output = (this.#output + chunk).slice(-10_000);
    });
  }

  /** Starts it with settings as in the environment. */
  static async start(settings: Readonly<Record<string, string>>): Promise<FuzzTarget> {
    const child = fork(PROGRAM, {
      execArgv: ["--expose-gc"],
      env: { ...process.env, ...settings },
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    const target = new FuzzTarget(child);
    target.#url = (await target.#next<{ url: string }>("url")).url;
    return target;
  }

  get url(): string {
    return this.#url;
  }

  get output(): string {
    return this.#output;
  }

  async ask(question: Exclude<ServerQuestion, "stop">): Promise<ServerState> {
    this.#child.send(question);
    return this.#next<ServerState>("callCount");
  }

  /** Throws if it has ended: with what it said last. */
  assertAlive(): void {
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) throw new Error(`the server ended:\n${this.#output}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    if (this.#child.connected) this.#child.send("stop");
    else this.#child.kill();
    await ended;
  }

  // Two messages may come in one turn, so the listener stays until the right one has come.
  #next<T extends ServerNews>(key: string): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const onMessage = (news: ServerNews) => {
      if (key in news) resolve(news as T);
    };
    const onExit = () => reject(new Error(`the server ended:\n${this.#output}`));
    this.#child.on("message", onMessage).once("exit", onExit);
    return promise.finally(() => this.#child.off("message", onMessage).off("exit", onExit));
  }
}
