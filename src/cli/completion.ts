import { Argument, Command } from "commander";
import { listCompletions } from "./completion/list-completions.ts";
import { SCRIPTS, type Shell } from "./completion/scripts.ts";

/** `tandem completion`: prints what makes a shell complete commands, options and their values. */
export function completionCommand(): Command {
  return new Command("completion")
    .addArgument(new Argument("<shell>", "the shell").choices(Object.keys(SCRIPTS)))
    .addHelpText(
      "after",
      `
To have it in every new shell:
  bash: put the output into ~/.local/share/bash-completion/completions/tandem
  zsh:  put it into a folder of your fpath, as _tandem
  fish: put it into ~/.config/fish/completions/tandem.fish

Examples:
  tandem completion bash > tandem.bash
  tandem completion zsh
  tandem completion fish`,
    )
    .action((shell: Shell) => console.log(SCRIPTS[shell]));
}

/** What the scripts call: prints what the last of the words may become, a line each. */
export function completeCommand(program: (words: readonly string[]) => Promise<Command>): Command {
  return new Command("__complete")
    .argument("[words...]")
    .allowUnknownOption()
    .helpOption(false)
    .action(async (words: string[]) => {
      const found = listCompletions(await program(words), words);
      if (found.length > 0) console.log(found.map(({ word, about }) => `${word}\t${about}`).join("\n"));
    });
}
