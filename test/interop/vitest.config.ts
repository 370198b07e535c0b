import { defineConfig } from "vitest/config";
import { TEST_MS } from "../support/limits.ts";

// Apart from `npm test`: these need toolchains of other languages and reach their package
// registries. `npm run interop`.
export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    include: ["test/interop/*.interop.ts"],
    pool: "forks",
    // One after the other: compilers use all cores by themselves, and toolchains are shared.
    fileParallelism: false,
    globalSetup: ["test/support/postgres-setup.ts"],
    testTimeout: TEST_MS,
    hookTimeout: TEST_MS,
    reporters: ["verbose"],
  },
});
