import type { Command, Option } from "commander";
import { contextsFile } from "../../config/client-config.ts";
import { readContexts } from "../../config/contexts.ts";
import { choicesOf } from "../shared/values.ts";

/** A word that the last one may become, and what it is. */
export interface Completion {
  readonly word: string;
  readonly about: string;
}

/**
 * What the last of some words may become: a command, an option, or an option's value. Nothing where
 * only a user can know, or where a file is meant: there shells look for files.
 */
export function listCompletions(program: Command, words: readonly string[]): Completion[] {
  const before = words.slice(0, -1);
  const last = words.at(-1) ?? "";
  const command = commandAt(program, before);
  const asked = optionAt(command, before.at(-1));
  const begins = ({ word }: Completion) => word.startsWith(last);
  if (asked) return valuesOf(asked, last).filter(begins);
  const options = last.startsWith("-") ? optionsOf(command) : [];
  const names = command === contextArgument(command) ? contextNames() : argumentsOf(command);
  return [...commandsOf(command), ...options, ...names].filter(begins);
}

function commandAt(program: Command, words: readonly string[]): Command {
  let command = program;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    if (optionAt(command, word)) at++;
    else command = command.commands.find((child) => child.name() === word) ?? command;
  }
  return command;
}

/** The option that waits for its value after a word. */
function optionAt(command: Command, word: string | undefined): Option | undefined {
  if (word === undefined || !word.startsWith("-")) return undefined;
  const option = command.options.find(({ short, long }) => short === word || long === word);
  return option?.required || option?.optional ? option : undefined;
}

function valuesOf(option: Option, last: string): Completion[] {
  if (option.long === "--context") return contextNames();
  const choices = option.argChoices ?? choicesOf(option);
  // Of a list that is parted by commas only the last value is still open.
  const begun = last.slice(0, last.lastIndexOf(",") + 1);
  return choices.map((choice) => ({ word: begun + choice, about: "" }));
}

function commandsOf(command: Command): Completion[] {
  const visible = command.createHelp().visibleCommands(command);
  return visible.map((child) => ({ word: child.name(), about: firstSentence(child.description()) }));
}

function optionsOf(command: Command): Completion[] {
  const visible = command.createHelp().visibleOptions(command);
  return visible.map(({ long, short, description }) => ({
    word: long ?? short ?? "",
    about: firstSentence(description),
  }));
}

function argumentsOf(command: Command): Completion[] {
  const choices = command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []);
  return choices.map((word) => ({ word, about: "" }));
}

// `tandem context use`, `remove` and `set` take a context's name.
function contextArgument(command: Command): Command | undefined {
  return command.parent?.name() === "context" && command.registeredArguments.length > 0 ? command : undefined;
}

function contextNames(): Completion[] {
  const { contexts } = readContexts(contextsFile());
  return Object.entries(contexts).map(([word, { url }]) => ({ word, about: url }));
}

function firstSentence(text: string): string {
  return text.split(/(?<=\.) |\n/)[0] ?? "";
}
