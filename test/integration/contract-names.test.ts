import { glob, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";

const PROTO = join(import.meta.dirname, "../../proto");
const paths = (await Array.fromAsync(glob("**/*.proto", { cwd: PROTO }))).sort();
const files = await Promise.all(paths.map(async (path) => ({ path, text: await readFile(join(PROTO, path), "utf8") })));

describe("names of generated code", () => {
  test("no two files of the contract have the same name: C# writes all into one folder, Swift allows a name once in a module", () => {
    const names = files.map(({ path }) => basename(path));
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  test.each(["csharp_namespace", "go_package", "java_package", "objc_class_prefix"])(
    "each package has one %s, and no two packages share it",
    (option) => {
      const pairs = new Set(
        files.map(({ text }) => `${read(text, /^package (.+);/m)} ${read(text, optionOf(option))}`),
      );
      const packages = new Set(files.map(({ text }) => read(text, /^package (.+);/m)));
      expect(pairs.size).toBe(packages.size);
      expect(new Set([...pairs].map((pair) => pair.split(" ")[1])).size).toBe(packages.size);
      expect([...pairs].filter((pair) => pair.endsWith(" "))).toEqual([]);
    },
  );
});

function optionOf(name: string): RegExp {
  return new RegExp(`^option ${name} = "(.+)";`, "m");
}

function read(text: string, pattern: RegExp): string {
  return pattern.exec(text)?.[1] ?? "";
}
