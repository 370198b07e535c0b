import { chmod, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fileCursorStore } from "./cursor-store.ts";

describe("fileCursorStore", () => {
  it("keeps a position across processes, and leaves nothing else behind", async () => {
    await inFolder(async (folder) => {
      const path = join(folder, "below", "cdrs.json");
      expect(await fileCursorStore(path).load()).toBeUndefined();
      const position = { cursor: "opaque", sequence: 2n ** 60n, epoch: 3n };
      await fileCursorStore(path).save({ ...position, sequence: 1n });
      await fileCursorStore(path).save(position);
      expect(await fileCursorStore(path).load()).toEqual(position);
      expect(await readdir(join(folder, "below"))).toEqual(["cdrs.json"]);
    });
  });

  it("keeps it from everybody else, in a folder that it makes for itself, and takes it back from who could read it", async () => {
    await inFolder(async (folder) => {
      const path = join(folder, "below", "cdrs.json");
      const modeOf = async (file: string) => (await stat(file)).mode & 0o777;
      const position = { cursor: "opaque", sequence: 1n, epoch: 1n };
      await fileCursorStore(path).save(position);
      expect([await modeOf(path), await modeOf(join(folder, "below"))]).toEqual([0o600, 0o700]);
      await chmod(path, 0o644);
      // What a crash left half written.
      await writeFile(`${path}.new`, "", { mode: 0o644 });
      await fileCursorStore(path).save(position);
      expect(await modeOf(path)).toBe(0o600);
    });
  });

  it("refuses a file that holds something else, rather than start anew by itself", async () => {
    await inFolder(async (folder) => {
      const path = join(folder, "cdrs.json");
      await writeFile(path, '{"cursor":');
      await expect(fileCursorStore(path).load()).rejects.toThrow("does not hold a feed position");
    });
  });
});

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "tandem-cursor-"));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}
