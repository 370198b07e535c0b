import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { glob, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

export const ROOT = join(import.meta.dirname, "../..");
const PROTO = join(ROOT, "proto");
/**
 * What was fetched or built for a test stays here for the next run, until node_modules is laid
 * anew.
 */
export const CACHE = join(ROOT, "node_modules/.cache/interop");
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

/**
 * Makes a toolchain ready, and says on the console when that is not possible: a silent skip would
 * look like a pass.
 */
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

/**
 * Installs packages of Debian, only where TANDEM_TEST_INSTALL allows it, as in CI: the machine may
 * be somebody's own.
 * @throws Error when they may not or cannot be installed.
 */
export async function installPackages(packages: readonly string[]): Promise<void> {
  const what = packages.join(" and ");
  if (process.env["TANDEM_TEST_INSTALL"] !== "on")
    throw new Error(`${what} not installed; with TANDEM_TEST_INSTALL=on, as root, it is installed by apt-get`);
  if (process.getuid?.() !== 0) throw new Error(`${what} not installed, and only root can install it`);
  await run("apt-get", ["update"], APT);
  await run("apt-get", ["install", "--yes", "--no-install-recommends", ...packages], APT);
}

const APT = { env: { DEBIAN_FRONTEND: "noninteractive" } };

/** Every file of the contract, as protoc names them. */
export async function listProtos(): Promise<string[]> {
  return (await Array.fromAsync(glob("**/*.proto", { cwd: PROTO }))).sort();
}

/** The folder that the contract's imports begin at. */
export const PROTO_ROOT = PROTO;

/**
 * A virtual environment with what the interop tests want of PyPI, protoc among it. Returns the
 * folder of its programs.
 */
export async function preparePython(): Promise<string> {
  await run("python3", ["-c", "import sys; assert sys.version_info >= (3, 9), 'Python 3.9 or later is needed'"]);
  const lists = ["test/interop/requirements.txt", "examples/python/requirements.txt"].map((path) => join(ROOT, path));
  const texts = await Promise.all(lists.map((path) => readFile(path)));
  const folder = await prepareOnce("python", texts, async (made) => {
    await run("python3", ["-m", "venv", made]);
    const install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", lists[0] ?? ""];
    await run(join(made, "bin/python"), install);
  });
  return join(folder, "bin");
}

/** The plugins of protoc for Go. Returns the folder that they are in. */
export async function prepareGoPlugins(): Promise<string> {
  await run("go", ["version"]);
  return prepareOnce("go-plugins", GO_PLUGINS, async (made) => {
    for (const plugin of GO_PLUGINS) await run("go", ["install", plugin], { cwd: made, env: { GOBIN: made } });
  });
}

const GO_PLUGINS = [
  "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.11",
  "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2",
];

/**
 * Makes a folder of the cache, unless it was made of the same before. What was begun and not ended
 * is begun anew.
 */
export async function prepareOnce(
  name: string,
  madeOf: readonly (string | Buffer)[],
  make: (folder: string) => Promise<void>,
): Promise<string> {
  const hash = createHash("sha256");
  for (const part of madeOf) hash.update(part).update("\0");
  const folder = join(CACHE, `${name}-${hash.digest("hex").slice(0, 12)}`);
  const done = join(folder, ".done");
  if (await readFile(done).catch(() => undefined)) return folder;
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await make(folder);
  await writeFile(done, "done");
  return folder;
}

/** PATH with these folders before all others. */
export function pathWith(...folders: readonly string[]): string {
  return [...folders, process.env["PATH"] ?? ""].join(delimiter);
}
