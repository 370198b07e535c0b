import { randomBytes } from "node:crypto";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startExchange } from "../support/exchange.ts";

test("a server says at its start which of its secrets others can read, once for each, and serves", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tandem-exposed-"));
  try {
    const erasureKeyFile = join(folder, "erasures.key");
    await writeFile(erasureKeyFile, randomBytes(32).toString("base64"));
    await chmod(erasureKeyFile, 0o644);
    {
      await using app = await startExchange({ erasureKeyFile });
      expect(app.logged.map((line) => JSON.parse(line))).toMatchObject([
        { level: "warn", file: erasureKeyFile, mode: "0644", msg: expect.stringMatching(/others can read.*chmod 600/) },
      ]);
    }
    await chmod(erasureKeyFile, 0o600);
    await using app = await startExchange({ erasureKeyFile });
    expect(app.logged).toEqual([]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
