import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fileCursorStore } from "../../src/client/cursor-store.ts";
import { makeFolder } from "../../src/files/files.ts";
import { spawnCli } from "../support/cli.ts";

const CLI = join(import.meta.dirname, "../../src/cli.ts");
const isLinux = process.platform === "linux";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-start-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test.skipIf(!isLinux)(
  "`tandem serve` ends with an error where no data folder can be made, such as in /proc",
  async () => {
    const { code, stderr } = await spawnCli(["serve", "--port", "0", "--data-dir", "/proc/x/y"]);
    expect(code).toBe(1);
    expect(stderr).toContain("/proc/x");
  },
);

test.skipIf(!isLinux)("every folder that is made ends with an error there, and a cursor file's too", async () => {
  await expect(makeFolder("/proc/x/y")).rejects.toMatchObject({ code: "ENOENT" });
  const position = { cursor: "c", sequence: 1n, epoch: 1n };
  await expect(fileCursorStore("/proc/x/cursor").save(position)).rejects.toMatchObject({ code: "ENOENT" });
});

test("a folder is made with those above it, with its mode, and is not made twice", async () => {
  expect(await makeFolder(join(folder, "a/b"), 0o700)).toBe(join(folder, "a"));
  expect(await makeFolder(join(folder, "a/b"))).toBeUndefined();
});

test("`tandem serve` heeds the first SIGTERM while it still waits for its database", async () => {
  const connected = Promise.withResolvers<void>();
  const sockets = new Set<Socket>();
  // A database that takes connections and says nothing.
  const silent = createServer((socket) => {
    sockets.add(socket.on("error", () => {}));
    connected.resolve();
  }).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo;
  const outside = Object.entries(process.env).filter(([name]) => !name.startsWith("TANDEM_"));
  const env = { TANDEM_DATABASE_URL: `postgresql://x@127.0.0.1:${port}/x`, TANDEM_ISSUE_TOKENS: "on" };
  const child = spawn(process.execPath, [CLI, "serve", "--port", "0", "--data-dir", join(folder, "d")], {
    env: { ...Object.fromEntries(outside), ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk;
  });
  try {
    await connected.promise;
    const ended = once(child, "close");
    child.kill("SIGTERM");
    expect(await ended).toEqual([143, null]);
    expect(output).toContain("SIGTERM: ended before it served");
  } finally {
    child.kill("SIGKILL");
    for (const socket of sockets) socket.destroy();
    silent.close();
  }
});
