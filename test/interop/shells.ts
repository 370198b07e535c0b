import { run } from "./toolchain.ts";

/** Sees to it that a shell is there: by apt-get, if TANDEM_TEST_INSTALL allows it, as in CI. */
export async function installShells(shell: string): Promise<void> {
  try {
    await run(shell, ["--version"]);
  } catch (error) {
    if (process.env["TANDEM_TEST_INSTALL"] !== "on") throw error;
    await run("apt-get", ["install", "--yes", "--no-install-recommends", shell], {
      env: { DEBIAN_FRONTEND: "noninteractive" },
    });
  }
}
