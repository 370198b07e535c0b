// How long tests wait, milliseconds. These limits end only what hangs: on a machine that is many
// times slower than it should be, everything has come by then. No test has a limit of its own.

/** For a condition to come true, or a process to start. `expect.poll` waits as long. */
export const EVENTUALLY_MS = 180_000;

/** For a test or a hook, with all its conditions. */
export const TEST_MS = 600_000;
