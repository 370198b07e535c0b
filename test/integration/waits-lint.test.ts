import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = new URL("../../", import.meta.url).pathname;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-lint-"));
  const plugins = ["waits", "limits"].map((name) => join(root, `tools/lint/${name}.grit`));
  const config = { linter: { rules: { preset: "none" } }, plugins };
  await writeFile(join(folder, "biome.json"), JSON.stringify(config));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test.each([
  ["sleeps", "await new Promise((resolve) => setTimeout(resolve, 300));"],
  ["acts after a while", "setTimeout(() => hold.release(), 1_200);"],
  ["sleeps by Node's promises", 'import { setTimeout as wait } from "node:timers/promises";'],
  ["waits for a second at most", "await vi.waitFor(() => expect(count()).toBe(1));"],
  ["waits for a second at most", "await vi.waitUntil(() => count() === 1);"],
  ["gives a condition little time", "await expect.poll(() => count(), { timeout: 5_000 }).toBe(1);"],
  ["gives a condition little time", "await expect.poll(() => count(), PATIENCE).toBe(1);"],
  ["has a limit of its own", 'test("ends", () => end(), 60_000);'],
  ["has a limit of its own", "afterAll(() => end(), 60_000);"],
  ["holds a span against a bound", "expect(performance.now() - startedMs).toBeLessThan(3_000);"],
  ["holds a span against a bound", "expect(Date.now() - startedMs).toBeLessThanOrEqual(3_000);"],
])("the linter finds a test that %s: %s", async (_, text) => {
  expect(await lint(text)).toContain("planted.test.ts:1:");
});

test.each([
  "await expect.poll(() => count(), { interval: 5 }).toBe(1);",
  "expect(performance.now() - startedMs).toBeGreaterThan(390);",
  'import { setImmediate } from "node:timers/promises";',
  "expect(sizes.length).toBeLessThan(20);",
])("the linter lets a test wait for conditions: %s", async (text) => {
  expect(await lint(text)).toBe("");
});

test("the rule is held to every test", async () => {
  const { overrides } = JSON.parse(await readFile(join(root, "biome.json"), "utf8")) as { overrides: object[] };
  expect(overrides).toContainEqual({ includes: ["**/*.test.ts"], plugins: ["./tools/lint/waits.grit"] });
  expect(overrides).toContainEqual({
    includes: ["**/*.test.ts", "test/support/**"],
    plugins: ["./tools/lint/limits.grit"],
  });
});

/** What the linter has against a test; empty: nothing. */
async function lint(text: string): Promise<string> {
  await writeFile(join(folder, "planted.test.ts"), `${text}\n`);
  const biome = join(root, "node_modules/@biomejs/biome/bin/biome");
  return await new Promise((resolve) => {
    execFile(process.execPath, [biome, "lint", "planted.test.ts"], { cwd: folder }, (error, stdout, stderr) =>
      resolve(error ? `${stdout}${stderr}` : ""),
    );
  });
}
