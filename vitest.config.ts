import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { EVENTUALLY_MS, TEST_MS } from "./test/support/limits.ts";

const reportPath = process.env["TANDEM_TEST_REPORT"];

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    pool: "forks",
    // What files import is read once for each worker, not for each of 150 files; they share nothing
    // that one changes and another reads.
    isolate: false,
    // Most tests wait, for a server or for a heartbeat, more than they compute: more files at once
    // than cores.
    maxWorkers: 3,
    globalSetup: ["test/support/postgres-setup.ts"],
    // Commands and servers are started by the dozen: what Node made of their sources is kept from
    // one to the next.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, "node_modules/.cache/node-compile") },
    testTimeout: TEST_MS,
    hookTimeout: TEST_MS,
    expect: { poll: { timeout: EVENTUALLY_MS } },
    teardownTimeout: 60_000,
    reporters: reportPath ? ["default", ["json", { outputFile: reportPath }]] : ["default"],
  },
});
