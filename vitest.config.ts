import { join } from "node:path";
import { defineConfig } from "vitest/config";

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
    // These limits end what hangs and nothing else: on a machine four times slower the longest test
    // and the slowest condition have ended well before. No test has a limit of its own.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    expect: { poll: { timeout: 180_000 } },
    teardownTimeout: 60_000,
    reporters: reportPath ? ["default", ["json", { outputFile: reportPath }]] : ["default"],
  },
});
