import { type ChildProcess, execFile } from "node:child_process";
import { Console } from "node:console";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { createProgram } from "../../src/cli/program.ts";
import { runCommand } from "../../src/cli/shared/run-command.ts";

const CLI = join(import.meta.dirname, "../../src/cli.ts");
/** What commands listen to for as long as their process lives. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** How a command ended. */
export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /**
   * What is on standard error besides the line that says which database, server and key were used.
   */
  readonly messages: string;
}

let last: Promise<unknown> = Promise.resolve();

/**
 * Runs `tandem` to its end in this process, with no TANDEM_* but what is given. That is many
 * times cheaper than `spawnCli`. Commands run one after the other: two that wait for each other
 * need processes of their own, and so does one that serves or that is to be killed.
 * @param input what it reads on standard input.
 */
export function runCli(
  args: readonly string[],
  settings: Readonly<Record<string, string>> = {},
  input = "",
): Promise<CliResult> {
  const mine = last.then(() => runHere(args, settings, input));
  last = mine.catch(() => {});
  return mine;
}

/** Runs `tandem` to its end in a process of its own. `onStart` gets the process. */
export function spawnCli(
  args: readonly string[],
  settings: Readonly<Record<string, string>> = {},
  onStart: (child: ChildProcess) => void = () => {},
): Promise<CliResult> {
  return new Promise((resolve) => {
    const options = { env: environmentWith(settings), maxBuffer: 64 * 1024 * 1024 };
    const child = execFile(process.execPath, [CLI, ...args], options, (error, stdout, stderr) => {
      resolve(resultOf(error === null ? 0 : Number(error.code ?? 1), stdout, stderr));
    });
    onStart(child);
  });
}

async function runHere(
  args: readonly string[],
  settings: Readonly<Record<string, string>>,
  input: string,
): Promise<CliResult> {
  const stdout: string[] = [];
  const stderr: string[] = [];
  using _ = standIn({ env: environmentWith(settings), argv: [process.execPath, CLI, ...args], input, stdout, stderr });
  await runCommand(async () => (await createProgram(args)).parseAsync());
  return resultOf(Number(process.exitCode ?? 0), stdout.join(""), stderr.join(""));
}

interface Stage {
  readonly env: NodeJS.ProcessEnv;
  readonly argv: string[];
  readonly input: string;
  readonly stdout: string[];
  readonly stderr: string[];
}

/** Makes this process look like one of the command's own, until it is disposed of. */
function standIn({ env, argv, input, stdout, stderr }: Stage): Disposable {
  const before = { env: process.env, argv: process.argv, exitCode: process.exitCode };
  const ownConsole = globalThis.console;
  const stdin = Object.getOwnPropertyDescriptor(process, "stdin");
  const heard = SIGNALS.map((signal) => new Set(process.listeners(signal)));
  const back = [capture(process.stdout, stdout), capture(process.stderr, stderr)];
  Object.assign(process, { env, argv, exitCode: undefined });
  Object.defineProperty(process, "stdin", { value: Readable.from([input]), configurable: true });
  globalThis.console = new Console(writableTo(stdout), writableTo(stderr));
  return {
    [Symbol.dispose]: () => {
      globalThis.console = ownConsole;
      Object.assign(process, before);
      if (stdin) Object.defineProperty(process, "stdin", stdin);
      for (const undo of back) undo();
      for (const [index, signal] of SIGNALS.entries())
        for (const listener of process.listeners(signal))
          if (!heard[index]?.has(listener)) process.off(signal, listener);
    },
  };
}

/** Takes what is written to a stream; returns what undoes that. */
function capture(stream: NodeJS.WriteStream, chunks: string[]): () => void {
  const listeners = new Set(stream.listeners("error"));
  stream.write = ((chunk: string | Uint8Array, ...rest: unknown[]) => {
    chunks.push(typeof chunk === "string" ? chunk : Buffer.from(chunk).toString());
    const done = rest.at(-1);
    if (typeof done === "function") process.nextTick(() => done());
    return true;
  }) as typeof stream.write;
  return () => {
    // The stream's own is that of its class again.
    Reflect.deleteProperty(stream, "write");
    for (const listener of stream.listeners("error"))
      if (!listeners.has(listener)) stream.off("error", listener as () => void);
  };
}

function writableTo(chunks: string[]): Writable {
  return new Writable({
    decodeStrings: false,
    write: (chunk: string, _encoding, done) => {
      chunks.push(chunk);
      done();
    },
  });
}

function environmentWith(settings: Readonly<Record<string, string>>): Record<string, string | undefined> {
  const outside = Object.entries(process.env).filter(([name]) => !name.startsWith("TANDEM_"));
  // Nor does the user's own context count.
  return { ...Object.fromEntries(outside), TANDEM_CONTEXTS_FILE: "/nonexistent/contexts.json", ...settings };
}

function resultOf(code: number, stdout: string, stderr: string): CliResult {
  return { code, stdout, stderr, messages: stderr.replace(/^(database|server|key): .*\n/gm, "") };
}
