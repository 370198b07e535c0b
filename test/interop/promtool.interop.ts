import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { makeTelemetryFiles } from "../../scripts/telemetry/files.ts";
import { startExchange } from "../support/exchange.ts";
import { findFreePort } from "../support/server-process.ts";
import { findToolchain, ROOT, run } from "./toolchain.ts";

// Prometheus' own tool on the rules that we ship, and on what a process tells.

const found = await findToolchain("promtool", async () => {
  if (process.env["TANDEM_TEST_INSTALL"] === "on" && process.getuid?.() === 0)
    await run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", "prometheus"]);
  await run("promtool", ["--version"]);
});
const rules = makeTelemetryFiles().filter(({ path }) => path.endsWith(".yml"));

describe.skipIf("missing" in found)("promtool", () => {
  test.each(rules)("takes the rules in $path", async ({ path }) => {
    expect(await run("promtool", ["check", "rules", join(ROOT, path)])).toMatch(/SUCCESS: 1[0-9] rules found/);
  });

  test("sees alerts fire and clear as the cases beside this file say", async () => {
    expect(await run("promtool", ["test", "rules", join(ROOT, "test/interop/alert-cases.yml")])).toContain("SUCCESS");
  });

  test("has nothing against what /metrics says", async () => {
    const metricsPort = await findFreePort();
    await using _app = await startExchange({ metricsPort });
    const scrape = `curl -sf http://127.0.0.1:${metricsPort}/metrics | promtool check metrics`;
    expect(await run("sh", ["-c", scrape])).toBe("");
  });
});
