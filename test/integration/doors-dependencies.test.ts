import { expect, test } from "vitest";
import { findFaults, type LockedPackage } from "../../scripts/lockfile-rules.ts";

const integrity = `sha512-${"a".repeat(86)}==`;
const good: LockedPackage = { version: "1.0.0", integrity, license: "MIT" };

test("a lock file in which nothing can be swapped is accepted", () => {
  const packages = {
    "": {},
    "node_modules/a": good,
    "node_modules/b": { ...good, hasInstallScript: true, license: "(GPL-3.0 OR MIT)" },
    // For other systems npm knows no content.
    "node_modules/c": { version: "1.0.0", os: ["another"], hasInstallScript: true },
  };
  const manifest = { dependencies: { a: "^1.0.0" }, allowScripts: { b: false } };
  expect(findFaults({ lockfileVersion: 3, packages }, manifest, "24.1.0")).toEqual([]);
});

test.each<[string, LockedPackage, string]>([
  ["without a digest of its content", { license: "MIT" }, "SHA-512"],
  ["with a weak digest", { ...good, integrity: "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=" }, "SHA-512"],
  ["with an address", { ...good, resolved: "http://registry.invalid/a.tgz" }, "http:"],
  ["with an install script that nobody has looked at", { ...good, hasInstallScript: true }, "install script"],
  ["under a licence that was not agreed to", { ...good, license: "MIT AND AGPL-3.0" }, "AGPL"],
  ["for a later Node", { ...good, engines: { node: ">=24.2.0" } }, "needs Node"],
])("a package %s is a fault", (_, locked, expected) => {
  const faults = findFaults({ lockfileVersion: 3, packages: { "node_modules/a": locked } }, {}, "24.1.9");
  expect(faults).toEqual([expect.stringContaining(expected)]);
});

test.each(["github:a/b", "file:../a", "*", "latest", "https://example.invalid/a.tgz"])(
  "a dependency on %s is a fault",
  (range) => {
    expect(findFaults({ lockfileVersion: 3, packages: {} }, { devDependencies: { a: range } }, "24.0.0")).toHaveLength(
      1,
    );
  },
);
