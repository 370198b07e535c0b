import { defineConfig } from "vitest/config";

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
    hookTimeout: 600_000,
    // A condition that is waited for holds at last, however busy the machine is.
    expect: { poll: { timeout: 60_000 } },
    reporters: ["verbose"],
  },
});
