import type { Command } from "commander";
import { createProgram } from "../../src/cli/program.ts";
import { fitHelp } from "../../src/cli/terminal/fit-help.ts";

/** A command that does something, and what its help says. */
export interface CliCommand {
  /** As `cdrs list`. */
  readonly path: string;
  readonly command: Command;
  readonly help: string;
  /** The lines that begin with `tandem` under "Example:" or "Examples:". */
  readonly examples: readonly string[];
}

/** Whose examples test/soak/cli-examples.soak.ts runs: they serve, or need that nobody does. */
export const SLOW_EXAMPLES = ["demo", "serve", "backup", "restore", "keys adopt"] as const;

/** Every command that is no mere group, with all of their modules read. */
export async function listCliCommands(): Promise<CliCommand[]> {
  const names = (await createProgram([])).commands.map((command) => command.name());
  const found: CliCommand[] = [];
  for (const name of names) {
    const [asked] = (await createProgram([name])).commands.filter((command) => command.name() === name);
    if (asked) found.push(...collect(asked, name));
  }
  return found;
}

function collect(command: Command, path: string): CliCommand[] {
  const below = command.commands.flatMap((child) => collect(child, `${path} ${child.name()}`));
  const isGroup = command.commands.length > 0 && !hasAction(command);
  if (isGroup) return below;
  const help = helpOf(command);
  return [{ path, command, help, examples: examplesIn(help) }, ...below];
}

function hasAction(command: Command): boolean {
  return (command as unknown as { _actionHandler: unknown })._actionHandler !== null;
}

/** What `--help` prints, with what was added before and after. */
export function helpOf(command: Command): string {
  const written: string[] = [];
  command.configureOutput({ writeOut: (text) => void written.push(fitHelp(text, 80)), getOutHelpWidth: () => 80 });
  command.outputHelp();
  return written.join("");
}

// Each is one line, whatever else stands under the heading.
function examplesIn(help: string): string[] {
  const [, below = ""] = /\nExamples?:\n(.*)$/s.exec(help) ?? [];
  const whole = below.replaceAll(/ \\\n +/g, " ");
  return [...whole.matchAll(/^ +(tandem .*)$/gm)].map(([, line = ""]) => line);
}

/** The words of a line as a shell would split it, and the file to which its output goes. */
export function splitExample(line: string): { args: string[]; output: string | undefined } {
  const words = [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, bare]) => double ?? single ?? bare ?? "",
  );
  const arrow = words.indexOf(">");
  const end = arrow < 0 ? words.length : arrow;
  return { args: words.slice(1, end), output: words[end + 1] };
}
