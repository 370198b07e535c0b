import { expect, test } from "vitest";
import { findBreaches } from "../../scripts/house-rules.ts";

const wide = "x".repeat(98);

test.each([
  ["a.ts", `  // ${wide}`],
  ["a.ts", `/** ${wide} */`],
  ["a.ts", ` * ${wide}`],
  ["a.proto", `  // ${wide}`],
  ["a.sql", `-- ${wide}`],
  ["a.sh", `# ${wide}.`],
  [".ci/run", `  # ${wide}`],
  ["a.go", `// ${wide}`],
])("a comment of over 100 columns is named with its file and line: %s", (path, line) => {
  expect(findBreaches([{ path, text: `\n${line}\n` }], {})).toEqual([
    `${path}:2 a comment of ${line.length} columns; at most 100`,
  ]);
});

test("code, comments of 100 columns and directives of the linter are left alone", () => {
  const lines = [`const text = "${wide}";`, `// ${"x".repeat(97)}`, `// biome-ignore lint/a/b: ${wide}`];
  expect(findBreaches([{ path: "a.ts", text: lines.join("\n") }], {})).toEqual([]);
});

test("a file of src has 350 lines at most, or as many as an exception says", () => {
  const text = "a\n".repeat(351);
  const files = ["src/a.ts", "src/b.ts", "src/c.test.ts", "src/store/migrations/0001.ts", "test/a.ts"];
  const longFiles = { "src/b.ts": { maxLines: 351, reason: "one table" } };
  expect(
    findBreaches(
      files.map((path) => ({ path, text })),
      longFiles,
    ),
  ).toEqual(["src/a.ts:351 the file has 351 lines; at most 350"]);
});

test("a folder of src has 30 files of its own at most", () => {
  const files = (folder: string, count: number) =>
    Array.from({ length: count }, (_, index) => ({ path: `${folder}/${index}.ts`, text: "" }));
  expect(findBreaches([...files("src/a", 31), ...files("src/b", 30), ...files("src/b/c", 5)], {})).toEqual([
    "src/a:1 the folder has 31 files; at most 30",
  ]);
});
