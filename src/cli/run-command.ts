/** Runs a command; a failure is told in one message, with the stack only for TANDEM_LOG_LEVEL=debug, and ends with code 1. */
export async function runCommand(run: () => Promise<unknown>): Promise<void> {
  try {
    await run();
  } catch (error) {
    console.error(`tandem: ${describe(error)}`);
    process.exitCode = 1;
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ((error as NodeJS.ErrnoException).code === "EADDRINUSE")
    return `${error.message}: another process listens there; try --port 0`;
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : "";
  return `${error.message || error.name}${cause}`;
}
