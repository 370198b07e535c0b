import { defineConfig } from "vitest/config";
import { EVENTUALLY_MS, TEST_MS } from "../support/limits.ts";

// Apart from `npm test`, which is to end within eight minutes: what takes its time by design. `npm
// run soak`.
export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    include: ["test/soak/*.soak.ts"],
    pool: "forks",
    globalSetup: ["test/support/postgres-setup.ts"],
    // `--long` runs for long.
    testTimeout: 3_600_000,
    hookTimeout: TEST_MS,
    expect: { poll: { timeout: EVENTUALLY_MS } },
    reporters: ["verbose"],
  },
});
