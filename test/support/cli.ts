import { type ChildProcess, execFile } from "node:child_process";
import { join } from "node:path";

const CLI = join(import.meta.dirname, "../../src/cli.ts");

/** How a command ended. */
export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /**
   * What is on standard error besides the line that says which database, server and key were used.
   */
  readonly messages: string;
}

/**
 * Runs `tandem` to its end, with nothing of TANDEM_* but what is given. `onStart` gets the process.
 */
export function runCli(
  args: readonly string[],
  settings: Readonly<Record<string, string>> = {},
  onStart: (child: ChildProcess) => void = () => {},
): Promise<CliResult> {
  const outside = Object.entries(process.env).filter(([name]) => !name.startsWith("TANDEM_"));
  return new Promise((resolve) => {
    const options = { env: { ...Object.fromEntries(outside), ...settings }, maxBuffer: 64 * 1024 * 1024 };
    const child = execFile(process.execPath, [CLI, ...args], options, (error, stdout, stderr) => {
      const messages = stderr.replace(/^(database|server|key): .*\n/gm, "");
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr, messages });
    });
    onStart(child);
  });
}
