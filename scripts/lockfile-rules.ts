/** The parts of package-lock.json that the rules look at. */
export interface LockedPackage {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly hasInstallScript?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[] | string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly engines?: { readonly node?: string };
}

export interface Lockfile {
  readonly lockfileVersion: number;
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

export interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
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
export function findFaults(lock: Lockfile, manifest: Manifest, nodeVersion: string): string[] {
  const faults = lock.lockfileVersion === 3 ? [] : [`the lock file is of version ${lock.lockfileVersion}, not 3`];
  faults.push(...findLooseRanges(manifest));
  for (const [path, locked] of Object.entries(lock.packages)) {
    if (path !== "") faults.push(...findPackageFaults(path, locked, manifest, nodeVersion));
  }
  return faults;
}

/** Only versions of a registry: what comes from a branch, a file or an address changes without the lock file. */
function findLooseRanges({ dependencies, devDependencies, optionalDependencies }: Manifest): string[] {
  return Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })
    .filter(([, range]) => !/^[~^]?\d+\.\d+\.\d+[\w.+-]*$/.test(range))
    .map(([name, range]) => `package.json: ${name} is asked for as ${range}, not as a version`);
}

function findPackageFaults(path: string, locked: LockedPackage, manifest: Manifest, nodeVersion: string): string[] {
  const faults: string[] = [];
  const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
  if (locked.link) faults.push("is a link");
  // With an address, whoever installs would be sent to it whatever registry they have chosen.
  if (locked.resolved !== undefined)
    faults.push(`names the address it came from, ${new URL(locked.resolved).protocol}`);
  if (!isForHere(locked)) return faults.map((fault) => `${path} ${fault}`);
  if (!/^sha512-[A-Za-z0-9+/]{86}==$/.test(locked.integrity ?? "")) faults.push("has no SHA-512 of its content");
  if (locked.hasInstallScript && manifest.allowScripts?.[name] === undefined)
    faults.push("has an install script that package.json (allowScripts) does not know");
  if (!isLicensed(locked)) faults.push(`has the licence ${locked.license ?? "(none)"}`);
  if (!locked.dev && !satisfies(nodeVersion, locked.engines?.node)) faults.push(`needs Node ${locked.engines?.node}`);
  return faults.map((fault) => `${path} ${fault}`);
}

/** npm takes the content of what is for other systems on trust: it cannot know it before it is installed there. */
function isForHere({ os, cpu, libc }: LockedPackage): boolean {
  if (os && !os.includes(process.platform)) return false;
  if (cpu && !cpu.includes(process.arch)) return false;
  return libc === undefined || [libc].flat().includes("glibc");
}

function isLicensed({ license, dev }: LockedPackage): boolean {
  const allowed = new Set(dev ? [...LICENSES, ...TOOL_LICENSES] : LICENSES);
  const [first = "", ...more] = (license ?? "").replace(/[()]/g, "").split(/ (?:AND|OR) /);
  return license?.includes(" OR ")
    ? [first, ...more].some((each) => allowed.has(each))
    : [first, ...more].every((each) => allowed.has(each));
}

/** The lowest version in a range that npm's packages ask for; ranges of other forms are let pass. */
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
