import type { ChildProcess } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { spawnCli } from "../support/cli.ts";
import { type CliCommand, listCliCommands, SLOW_EXAMPLES, splitExample } from "../support/cli-commands.ts";

// The examples that test/integration/cli-examples.test.ts leaves out: they serve, or need that
// nobody does. Each runs in a process of its own, on a data folder of its own.

let folder: string;
let settings: Record<string, string>;
let commands: readonly CliCommand[];

beforeAll(async () => {
  commands = await listCliCommands();
  folder = await mkdtemp(join(tmpdir(), "tandem-slow-examples-"));
  await chmod(folder, 0o755);
  settings = { TMPDIR: folder, TANDEM_DATA_DIR: join(folder, "srv"), TANDEM_PORT: "0" };
  const calls = Array.from(
    { length: 60 },
    (_, at) => `${at * 60},${at % 7},${7 + (at % 5)},${at % 4 === 0 ? -1 : 30 + at}`,
  );
  await writeFile(join(folder, "copenhagen-calls.csv"), `timestamp,caller,callee,duration\n${calls.join("\n")}\n`);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

for (const path of SLOW_EXAMPLES) {
  test(`every example of \`tandem ${path}\` does what it says`, async () => {
    const { examples = [] } = commands.find((command) => command.path === path) ?? {};
    expect(examples).not.toEqual([]);
    for (const example of examples) {
      const args = splitExample(example).args.map(inPlace);
      const { code, stdout, stderr } = await spawnCli(args, settings, stopOnceItServes);
      expect({ example, code, told: code === 0 ? "" : stdout + stderr }).toEqual({ example, code: 0, told: "" });
    }
  });
}

/** Folders of the machine are the test's; `backup` and `restore` tell of the same ones. */
function inPlace(arg: string): string {
  if (arg.endsWith(".csv")) return join(folder, arg);
  return arg.replace("/srv/tandem", join(folder, "srv")).replace("/backups/", `${join(folder, "backup")}-`);
}

function stopOnceItServes(child: ChildProcess): void {
  let told = "";
  child.stdout?.on("data", (chunk) => {
    // Once: a second signal means at once.
    const isUp = /listens on|CdrService\/StreamCdrs/;
    const wasUp = isUp.test(told);
    told += String(chunk);
    if (!wasUp && isUp.test(told)) child.kill("SIGINT");
  });
}
