import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = new URL("../../", import.meta.url).pathname;
const plugin = join(root, "tools/lint/clocks.grit");
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-lint-"));
  const config = { linter: { rules: { preset: "none" } }, plugins: [plugin] };
  await writeFile(join(folder, "biome.json"), JSON.stringify(config));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test.each([
  "export const untilMs = Date.now() + 1_000;",
  "export const options = { now: Date.now };",
  "export const ageMs = new Date().getTime() - 1_000;",
  "export const text = new Date;",
  "export const text = Date();",
  'import { wallMs } from "../domain/wall-clock.ts";\nexport const untilMs = wallMs() + 1_000;',
])("the linter finds a span that is measured with the time of day: %s", async (text) => {
  expect(await lint("src/feed/planted.ts", text)).toContain("Measure spans with performance.now()");
});

test("the linter finds a limit on time that outlives its call", async () => {
  const text = "export const signal = AbortSignal.timeout(60_000);";
  expect(await lint("src/feed/planted.ts", text)).toContain("keeps the call in which it was made");
  expect(await lint("src/cli/planted.ts", text)).toBe("");
});

test.each([
  ["src/domain/time/wall-clock.ts", "export const now = Date.now();"],
  ["src/trust/tokens.ts", 'import { wallMs } from "../domain/wall-clock.ts";\nexport const now = wallMs();'],
  ["src/feed/planted.ts", "export const startedMs = performance.now();\nexport const day = new Date(0);"],
])("the linter lets moments be, and clocks that only go forward: %s", async (file, text) => {
  expect(await lint(file, text)).toBe("");
});

test("the rule is held to all of src but its tests", async () => {
  const { overrides } = JSON.parse(await readFile(join(root, "biome.json"), "utf8")) as { overrides: object[] };
  expect(overrides).toContainEqual({
    includes: ["src/**", "!src/**/*.test.ts"],
    plugins: ["./tools/lint/clocks.grit"],
  });
});

/** What the linter has against a file; empty: nothing. */
async function lint(file: string, text: string): Promise<string> {
  const path = join(folder, file);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `${text}\n`);
  const biome = join(root, "node_modules/@biomejs/biome/bin/biome");
  try {
    return await new Promise((resolve) => {
      execFile(process.execPath, [biome, "lint", file], { cwd: folder }, (error, stdout, stderr) =>
        resolve(error ? `${stdout}${stderr}` : ""),
      );
    });
  } finally {
    await rm(path);
  }
}
