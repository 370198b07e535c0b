import { defineConfig } from "vitest/config";

// Apart from `npm test`: these need toolchains of other languages and reach their package registries. `npm run interop`.
export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    include: ["test/interop/*.interop.ts"],
    pool: "forks",
    globalSetup: ["test/support/postgres-setup.ts"],
    testTimeout: 300_000,
    hookTimeout: 300_000,
    reporters: ["verbose"],
  },
});
