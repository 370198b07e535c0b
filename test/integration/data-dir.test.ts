import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { runCli } from "../support/cli.ts";

const CLI = join(import.meta.dirname, "../../src/cli.ts");

test("`tandem serve` needs no setting in a folder that only its owner may enter, as root too, and finds its data again", async () => {
  const cwd = await realpath(await mkdtemp(join(tmpdir(), "tandem-closed-")));
  let dataDir: string | undefined;
  try {
    const first = await startAndStop(cwd);
    dataDir = first.dataDir;
    expect(first).toMatchObject({ code: 0, carriers: 0 });
    // Where PostgreSQL's account could go, it would be ./.tandem; /root is like this folder.
    const isRoot = process.getuid?.() === 0;
    expect(dataDir).toBe(isRoot ? `/var/lib/tandem/${cwd.slice(1).replaceAll("/", "-")}` : join(cwd, ".tandem"));
    expect(await startAndStop(cwd)).toEqual({ code: 0, dataDir, carriers: 1 });
  } finally {
    await rm(cwd, { recursive: true, force: true });
    if (dataDir !== undefined) await rm(dataDir, { recursive: true, force: true });
  }
});

/** Starts a server without a setting but its port, counts its carriers, adds one, and stops it. */
async function startAndStop(cwd: string) {
  const outside = Object.entries(process.env).filter(([name]) => !name.startsWith("TANDEM_"));
  const env = { ...Object.fromEntries(outside), TANDEM_LOG_LEVEL: "error" };
  const server = spawn(process.execPath, [CLI, "serve", "--port", "0"], {
    cwd,
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(server, "exit");
  const found: { url?: string; dataDir?: string } = {};
  for await (const line of createInterface({ input: server.stdout })) {
    const url = /^Tandem listens on (http:\S+)\. /.exec(line)?.[1];
    const dataDir = /^Its data is in (\S+?)[.,]( |$)/.exec(line)?.[1];
    if (url !== undefined) found.url = url;
    if (dataDir === undefined) continue;
    found.dataDir = dataDir;
    break;
  }
  server.stdout.resume();
  const settings = { TANDEM_URL: found.url ?? "", TANDEM_DATA_DIR: found.dataDir ?? "" };
  const { carriers = [] } = JSON.parse((await runCli(["carriers", "list", "--json"], settings)).stdout);
  await runCli(["carriers", "create", "alpha", "--country", "DK"], settings);
  server.kill("SIGTERM");
  const [code] = await ended;
  return { code, dataDir: found.dataDir, carriers: carriers.length };
}
