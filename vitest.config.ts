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
    // A test that starts processes waits for them; one that hangs still ends.
    testTimeout: 120_000,
    // A condition that is waited for holds at last, however busy the machine is.
    expect: { poll: { timeout: 60_000 } },
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    reporters: reportPath ? ["default", ["json", { outputFile: reportPath }]] : ["default"],
  },
});
