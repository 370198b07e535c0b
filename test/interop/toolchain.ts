import { execFile } from "node:child_process";
import { glob } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

export const ROOT = join(import.meta.dirname, "../..");
const PROTO = join(ROOT, "proto");
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a program and returns what it printed. Throws with what it printed of errors. */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { stdout } = await promisify(execFile)(program, args, {
    cwd: options.cwd ?? ROOT,
    env: { ...process.env, ...options.env },
    maxBuffer: MAX_OUTPUT_BYTES,
  });
  return stdout;
}

/** What a toolchain is made with; or, where this machine has none, why not. */
export type Toolchain<T> = { readonly tools: T } | { readonly missing: string };

/** Makes a toolchain ready, and says on the console when that is not possible: a silent skip would look like a pass. */
export async function findToolchain<T>(name: string, prepare: () => Promise<T>): Promise<Toolchain<T>> {
  try {
    return { tools: await prepare() };
  } catch (error) {
    const { code, path, message, stderr } = error as NodeJS.ErrnoException & { stderr?: string };
    const said = stderr?.trim().split("\n").at(-1) || message;
    const missing = code === "ENOENT" ? `there is no ${path} on this machine` : said;
    console.log(`interop: ${name} is skipped: ${missing}`);
    return { missing };
  }
}

/** Every file of the contract, as protoc names them. */
export async function listProtos(): Promise<string[]> {
  return (await Array.fromAsync(glob("**/*.proto", { cwd: PROTO }))).sort();
}

/** The folder that the contract's imports begin at. */
export const PROTO_ROOT = PROTO;
