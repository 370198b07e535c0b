import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { chooseDataDir } from "./data-dir.ts";

let cwd: string;
beforeEach(() => {
  cwd = realpathSync(mkdtempSync(join(tmpdir(), "tandem-data-dir-")));
});
afterEach(() => rmSync(cwd, { recursive: true }));

test("keeps data in ./.tandem where PostgreSQL's account can go, as root too", () => {
  chmodSync(cwd, 0o755);
  for (const isRoot of [true, false]) {
    expect(chooseDataDir(undefined, { cwd, isRoot })).toEqual({
      dataDir: join(cwd, ".tandem"),
      dataDirReason: undefined,
    });
  }
});

test("leaves a folder that is closed to others, when it is root, for one of its own in /var/lib/tandem, and says why", () => {
  chmodSync(cwd, 0o700);
  const { dataDir, dataDirReason } = chooseDataDir(undefined, { cwd, isRoot: true });
  expect(dataDir).toBe(join("/var/lib/tandem", cwd.slice(1).replaceAll("/", "-")));
  expect(dataDirReason).toContain(`no other account can enter ${cwd}`);
});

test("keeps ./.tandem in a closed folder when it is not root: PostgreSQL then runs as the same account", () => {
  chmodSync(cwd, 0o700);
  expect(chooseDataDir(undefined, { cwd, isRoot: false }).dataDir).toBe(join(cwd, ".tandem"));
});

test("stays where a cluster is already, and where it is told to", () => {
  chmodSync(cwd, 0o700);
  mkdirSync(join(cwd, ".tandem/postgres/cluster"), { recursive: true });
  expect(chooseDataDir(undefined, { cwd, isRoot: true }).dataDir).toBe(join(cwd, ".tandem"));
  expect(chooseDataDir("elsewhere", { cwd, isRoot: true }).dataDir).toBe(join(cwd, "elsewhere"));
});
