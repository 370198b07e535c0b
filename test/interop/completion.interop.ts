import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCli } from "../support/cli.ts";
import { installShells } from "./shells.ts";
import { findToolchain, ROOT, run } from "./toolchain.ts";

let folder: string;
let env: Record<string, string>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-shells-"));
  const tandem = join(folder, "tandem");
  await writeFile(tandem, `#!/bin/sh\nexec ${process.execPath} ${join(ROOT, "src/cli.ts")} "$@"\n`);
  await chmod(tandem, 0o755);
  env = { PATH: `${folder}${delimiter}${process.env["PATH"]}`, HOME: folder };
  for (const shell of ["bash", "zsh", "fish"])
    await writeFile(join(folder, shell), (await runCli(["completion", shell])).stdout);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** How each shell is asked what it would offer after `tandem numbers list --state p`. */
const ASKED: Readonly<Record<string, string>> = {
  bash: `source "$1"; COMP_WORDS=(tandem numbers list --state p); COMP_CWORD=4; _tandem; printf '%s\\n' "\${COMPREPLY[@]}"`,
  zsh: `compdef() { :; }; _files() { :; }; _describe() { print -l -- "\${(@P)2}"; }
        source "$1"; words=(tandem numbers list --state p); CURRENT=5; _tandem`,
  fish: `source $argv[1]; complete -C "tandem numbers list --state p"`,
};

for (const shell of ["bash", "zsh", "fish"]) {
  const { missing } = { missing: undefined, ...(await findToolchain(shell, () => installShells(shell))) };
  test.skipIf(missing)(
    `${shell} offers what \`tandem completion ${shell}\` taught it${missing ? ` (skipped: ${missing})` : ""}`,
    async () => {
      const args =
        shell === "fish"
          ? ["-c", ASKED[shell] ?? "", join(folder, shell)]
          : ["-c", ASKED[shell] ?? "", shell, join(folder, shell)];
      const offered = (await run(shell, args, { env })).split("\n").filter(Boolean);
      expect(offered.map((line) => line.split(/[\t:]/)[0]).sort()).toEqual(["ported-out", "provisioned"]);
    },
  );
}
