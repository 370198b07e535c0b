import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { calls, ingest, NUMBER } from "../support/feed.ts";
import { findToolchain, prepareOnce, ROOT, run } from "./toolchain.ts";

const schemathesis = await findToolchain("schemathesis", prepareSchemathesis);
const why = "missing" in schemathesis ? ` (skipped: ${schemathesis.missing})` : "";

let app: Exchange;
const folder = await mkdtemp(join(tmpdir(), "tandem-openapi-"));
beforeAll(async () => {
  app = await startExchange({ maxCallsPerSecond: 1_000_000, maxRefusalsPerSecond: 0, maxAuthFailuresPerSecond: 0 });
  await app.addCarrier("alpha");
  await app.assignNumbers("alpha", [NUMBER]);
  await ingest(app, "alpha", calls("r", 3));
});
afterAll(async () => {
  await app?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describe.skipIf("missing" in schemathesis)(`docs/openapi.json against a running Tandem${why}`, () => {
  test.each(["carrier", "platform"] as const)(
    "schemathesis finds no fault and nothing undocumented in any unary method of the %s",
    async (side) => {
      const program = "tools" in schemathesis ? schemathesis.tools : "";
      const token = side === "carrier" ? await app.carrierToken("alpha") : await app.platformToken();
      const said = await run(
        program,
        [
          ...["--config-file", join(ROOT, "test/interop/schemathesis/schemathesis.toml")],
          ...["run", join(ROOT, "docs/openapi.json"), "--url", app.url],
          ...["--header", `Authorization: Bearer ${token}`, "--include-path-regex", `^/tandem\\.${side}\\.`],
          ...["--max-examples", "5", "--seed", "15", "--phases", "coverage,fuzzing", "--continue-on-failure"],
          ...["--suppress-health-check", "all", "--no-color"],
        ],
        { cwd: folder, env: { PYTHONUTF8: "1" } },
      ).catch((error: { stdout?: string; message: string }) => error.stdout ?? error.message);
      expect(said).toMatch(/\d{3,} generated, \d+ passed/);
      expect(said).not.toMatch(/unique failures?|Errors:/);
      expect(app.logged.filter((line) => line.includes("unexpected fault"))).toEqual([]);
    },
  );
});

/** Returns the program. */
async function prepareSchemathesis(): Promise<string> {
  const list = join(ROOT, "test/interop/schemathesis/requirements.txt");
  const made = await prepareOnce("schemathesis", [await readFile(list)], async (into) => {
    await run("python3", ["-m", "venv", into]);
    await run(join(into, "bin/python"), ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", list]);
  });
  return join(made, "bin/schemathesis");
}
