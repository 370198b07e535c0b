import { packageName, REVIEWED_SCRIPTS, type ReviewedScript } from "./install-scripts.ts";

/** The parts of package-lock.json that the rules look at. */
export interface LockedPackage {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly hasInstallScript?: boolean;
  readonly os?: readonly string[] | string;
  readonly cpu?: readonly string[] | string;
  readonly libc?: readonly string[] | string;
  readonly license?: string;
  readonly bin?: Readonly<Record<string, string>>;
  readonly dev?: boolean;
  readonly engines?: { readonly node?: string };
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

export interface Lockfile {
  readonly lockfileVersion: number;
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

export interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  /** Folders of this repository that are packages of their own. */
  readonly workspaces?: readonly string[];
  /** Packages with an install script, and whether it may run. */
  readonly allowScripts?: Readonly<Record<string, boolean>>;
}

const LICENSES = [
  "0BSD",
  "Apache-2.0",
  "BlueOak-1.0.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "CC0-1.0",
  "ISC",
  "MIT",
  "Python-2.0",
];
/** Of tools that are not shipped. */
const TOOL_LICENSES = ["MPL-2.0", "CC-BY-4.0"];

/** What is wrong with a lock file, one sentence each; empty: nothing. */
export function findFaults(
  lock: Lockfile,
  manifest: Manifest,
  nodeVersion: string,
  reviewed: Readonly<Record<string, ReviewedScript>> = REVIEWED_SCRIPTS,
): string[] {
  const faults = lock.lockfileVersion === 3 ? [] : [`the lock file is of version ${lock.lockfileVersion}, not 3`];
  const workspaces = new Set(manifest.workspaces);
  faults.push(...findLooseRanges("package.json", manifest), ...findUnreviewed(manifest, reviewed));
  for (const [path, locked] of Object.entries(lock.packages)) {
    if (path === "" || isWorkspaceLink(locked, workspaces)) continue;
    if (workspaces.has(path)) faults.push(...findLooseRanges(path, locked));
    else faults.push(...findPackageFaults(path, locked, nodeVersion, reviewed));
  }
  return faults;
}

/**
 * A folder of this repository that npm links into node_modules: what is in it is looked at itself.
 */
function isWorkspaceLink({ link, resolved }: LockedPackage, workspaces: ReadonlySet<string>): boolean {
  return link === true && resolved !== undefined && workspaces.has(resolved);
}

/** npm goes by package.json; why is in the list. */
function findUnreviewed({ allowScripts = {} }: Manifest, reviewed: Readonly<Record<string, ReviewedScript>>): string[] {
  return Object.entries(allowScripts)
    .filter(([name, runs]) => reviewed[name]?.runs !== runs)
    .map(
      ([name, runs]) => `package.json: allowScripts says ${runs} of ${name}, and scripts/install-scripts.ts does not`,
    );
}

/**
 * Only versions of a registry: what comes from a branch, a file or an address changes without the
 * lock file.
 */
function findLooseRanges(
  where: string,
  {
    dependencies,
    devDependencies,
    optionalDependencies,
  }: Pick<Manifest, "dependencies" | "devDependencies" | "optionalDependencies">,
): string[] {
  return Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })
    .filter(([, range]) => !/^[~^]?\d+\.\d+\.\d+[\w.+-]*$/.test(range))
    .map(([name, range]) => `${where}: ${name} is asked for as ${range}, not as a version`);
}

function findPackageFaults(
  path: string,
  locked: LockedPackage,
  nodeVersion: string,
  reviewed: Readonly<Record<string, ReviewedScript>>,
): string[] {
  const faults: string[] = [];
  if (locked.link) faults.push("is a link");
  // With an address, whoever installs would be sent to it whatever registry they have chosen.
  else if (locked.resolved !== undefined) faults.push(`names the address it came from, ${schemeOf(locked.resolved)}`);
  // For every system, so that nobody takes on trust what is installed on another.
  if (!locked.link && !/^sha512-[A-Za-z0-9+/]{86}==$/.test(locked.integrity ?? ""))
    faults.push("has no SHA-512 of its content");
  if (locked.hasInstallScript && !reviewed[packageName(path)])
    faults.push("has an install script that nobody has looked at (scripts/install-scripts.ts)");
  if (isForHere(locked)) {
    if (!isLicensed(locked)) faults.push(`has the licence ${locked.license ?? "(none)"}`);
    if (!locked.dev && !satisfies(nodeVersion, locked.engines?.node)) faults.push(`needs Node ${locked.engines?.node}`);
  }
  return faults.map((fault) => `${path} ${fault}`);
}

function schemeOf(resolved: string): string {
  return URL.canParse(resolved) ? new URL(resolved).protocol : resolved;
}

function isForHere({ os, cpu, libc }: LockedPackage): boolean {
  if (os && ![os].flat().includes(process.platform)) return false;
  if (cpu && ![cpu].flat().includes(process.arch)) return false;
  return libc === undefined || [libc].flat().includes("glibc");
}

function isLicensed({ license, dev }: LockedPackage): boolean {
  const allowed = new Set(dev ? [...LICENSES, ...TOOL_LICENSES] : LICENSES);
  const [first = "", ...more] = (license ?? "").replace(/[()]/g, "").split(/ (?:AND|OR) /);
  return license?.includes(" OR ")
    ? [first, ...more].some((each) => allowed.has(each))
    : [first, ...more].every((each) => allowed.has(each));
}

/**
 * The lowest version in a range that npm's packages ask for; ranges of other forms are let pass.
 */
function satisfies(version: string, range: string | undefined): boolean {
  const wanted = /^>=\s*(\d+)(?:\.(\d+))?(?:\.(\d+))?$/.exec(range ?? "");
  if (!wanted) return true;
  const have = version
    .replace(/^[^\d]*/, "")
    .split(".")
    .map(Number);
  const need = wanted.slice(1).map((part) => Number(part ?? 0));
  for (const [index, least] of need.entries()) {
    const part = have[index] ?? 0;
    if (part !== least) return part > least;
  }
  return true;
}
