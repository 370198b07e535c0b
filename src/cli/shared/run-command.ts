import { CommanderError } from "commander";

/** The shells' exit code for wrong usage. */
const EXIT_USAGE = 2;

/**
 * Runs a command. A failure prints one message without a stack, and ends with code 1. Wrong usage,
 * which commander reports, ends with code 2.
 */
export async function runCommand(run: () => Promise<unknown>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
      return;
    }
    const { describeFailure } = await import("./describe-error.ts");
    console.error(`tandem: ${describeFailure(error)}`);
    process.exitCode = 1;
  }
}

/** For commands that print a result: `tandem cdrs follow | head` is no failure, and should end. */
export function endQuietlyWhenNobodyReads(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit(process.exitCode ?? 0);
  });
}
