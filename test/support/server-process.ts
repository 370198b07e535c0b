import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";

const CLI = join(import.meta.dirname, "../../src/cli.ts");

/**
 * `tandem serve` as a process of its own, which can be killed and started again on the same port.
 */
export class ServerProcess implements AsyncDisposable {
  readonly port: number;
  readonly #settings: Readonly<Record<string, string>>;
  #child: ChildProcess | undefined;
  #isServing = false;
  #log: string[] = [];

  constructor(port: number, settings: Readonly<Record<string, string>>) {
    this.port = port;
    this.#settings = settings;
  }

  get isServing(): boolean {
    return this.#isServing;
  }

  /** The last lines that it wrote, on standard output or standard error. */
  get lines(): readonly string[] {
    return this.#log;
  }

  /** How it ended, once it has. */
  async ended(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    const child = this.#child;
    if (!child) throw new Error("the server was not started");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    return { code: child.exitCode, signal: child.signalCode };
  }

  /**
   * Starts it; resolves once it serves. One that ends before it serves, other than by `kill`, is an
   * error.
   */
  async start(): Promise<void> {
    const child = spawn(process.execPath, [CLI, "serve", "--port", String(this.port)], {
      env: { ...process.env, ...this.#settings },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    child.once("exit", () => {
      if (this.#child === child) this.#isServing = false;
    });
    child.stderr.on("data", (chunk: Buffer) => this.#note(String(chunk)));
    for await (const line of createInterface({ input: child.stdout })) {
      this.#note(line);
      if (!line.startsWith("Tandem listens on ")) continue;
      this.#isServing = this.#child === child;
      child.stdout.resume();
      return;
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    if (child.signalCode !== "SIGKILL") throw new Error(`the server did not start:\n${this.#log.join("\n")}`);
  }

  /** SIGKILL, as the kernel does it: nothing is finished. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#isServing = false;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #note(line: string): void {
    this.#log = [...this.#log.slice(-50), line];
  }
}

/** A port that nobody listens on now. */
export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
