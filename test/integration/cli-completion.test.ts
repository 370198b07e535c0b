import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runCli } from "../support/cli.ts";

test.each<[string[], string[]]>([
  [["num"], ["numbers"]],
  [
    ["cdrs", "f"],
    ["follow", "feed"],
  ],
  [["cdrs", "follow", "--fro"], ["--from"]],
  [["numbers", "list", "--state", "r"], ["released"]],
  [
    ["numbers", "list", "--state", "assigned,p"],
    ["assigned,provisioned", "assigned,ported-out"],
  ],
  [
    ["reconcile", "explain", "call-1", "--by", "c"],
    ["call", "cdr"],
  ],
  [
    ["completion", ""],
    ["bash", "zsh", "fish"],
  ],
  // A value that only the user knows, and what is no command.
  [["cdrs", "follow", "--carrier", "n"], []],
  [["numbers", "sing"], []],
])("completes `tandem %s`", async (words, expected) => {
  expect(await complete(words)).toEqual(expected);
});

test("completes the names of contexts, where one is asked for", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tandem-completion-"));
  try {
    const settings = { TANDEM_CONTEXTS_FILE: join(folder, "contexts.json") };
    await writeFile(settings.TANDEM_CONTEXTS_FILE, '{"contexts":{"production":{"url":"https://tandem.example"}}}');
    for (const words of [
      ["cdrs", "feed", "--context", ""],
      ["context", "use", "pro"],
    ])
      expect(await complete(words, settings)).toEqual(["production"]);
    await writeFile(settings.TANDEM_CONTEXTS_FILE, "{");
    expect(await complete(["context", "use", ""], settings)).toEqual([]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("every command and option can be completed by its name alone", async () => {
  const first = await complete([""]);
  expect(first).toEqual(expect.arrayContaining(["carriers", "numbers", "cdrs", "doctor", "help"]));
  expect(first).not.toContain("__complete");
  expect(await complete(["carriers", "create", "x", "-"])).toEqual(
    expect.arrayContaining(["--country", "--url", "--json", "--help"]),
  );
});

test("a command, an option and a value that are misspelt are named with what may be meant", async () => {
  const wrong: [string[], string][] = [
    [["nubmers"], "Did you mean numbers?"],
    [["cdrs", "folow"], "Did you mean follow?"],
    [["numbers", "list", "--stat", "assigned"], "Did you mean --state?"],
    [["numbers", "list", "--state", "asigned"], "Did you mean assigned?"],
  ];
  for (const [args, hint] of wrong)
    expect(await runCli(args)).toMatchObject({ code: 2, stderr: expect.stringContaining(hint) });
});

async function complete(words: readonly string[], settings: Readonly<Record<string, string>> = {}): Promise<string[]> {
  const { stdout } = await runCli(["__complete", "--", ...words], settings);
  return stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => line.split("\t")[0] ?? "");
}
