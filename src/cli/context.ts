import { resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { contextsFile } from "../config/client-config.ts";
import {
  CONTEXT_NAME,
  type Contexts,
  type NamedContext,
  readContexts,
  unknownContext,
  writeContexts,
} from "../config/contexts.ts";
import { given } from "../domain/given.ts";
import { visibleText } from "../domain/privacy/visible-text.ts";
import { csvOption } from "./shared/csv-option.ts";
import { printCsv } from "./shared/csv-output.ts";
import { formatJson, printRows } from "./shared/output.ts";

/** `tandem context`: servers by names, so that no command has to repeat its address and token. */
export function contextCommand(): Command {
  return new Command("context")
    .addCommand(listCommand(), { isDefault: true })
    .addCommand(setCommand())
    .addCommand(useCommand())
    .addCommand(removeCommand());
}

function listCommand(): Command {
  return new Command("list")
    .description("List the contexts; * marks the one in use.")
    .option("--json", "print JSON")
    .addOption(csvOption())
    .addHelpText("after", "\nExample:\n  tandem context list")
    .action(({ json, csv }: { json?: true; csv?: true }) => {
      const { current, contexts } = readContexts(contextsFile());
      const rows = Object.entries(contexts).map(([name, context]) => ({
        name,
        isCurrent: name === current,
        ...context,
      }));
      if (json) console.log(formatJson({ current, contexts }));
      else if (csv) printCsv(COLUMNS.slice(1), rows);
      else printRows(COLUMNS, rows, "No contexts yet: tandem context set --help");
    });
}

function setCommand(): Command {
  return new Command("set")
    .description("Make a context, or change one: only what is named changes. The first one is used at once.")
    .argument("<name>", "1 to 64 letters, digits, dots, dashes and underscores", parseName)
    .option("--url <url>", "the server: http://host:port or https://host:port", parseUrl)
    .option("--token-file <file>", "file with the bearer token; the token itself is not copied")
    .option("--data-dir <folder>", "data folder of a server on this machine, whose key signs tokens")
    .addHelpText(
      "after",
      `
Contexts are kept in ~/.config/tandem/contexts.json, or in TANDEM_CONTEXTS_FILE.

Examples:
  tandem context set production --url https://tandem.example:7443 --token-file ~/.config/tandem/production.token
  tandem context set local --url http://127.0.0.1:7443 --data-dir .tandem`,
    )
    .action(async (name: string, options: { url?: string; tokenFile?: string; dataDir?: string }, command: Command) => {
      const { current = name, contexts } = readContexts(contextsFile());
      const url = options.url ?? contexts[name]?.url ?? command.error("error: a new context needs a --url");
      const { tokenFile, dataDir } = options;
      const paths = given({ tokenFile: tokenFile && resolve(tokenFile), dataDir: dataDir && resolve(dataDir) });
      await write({ current, contexts: { ...contexts, [name]: { ...contexts[name], ...paths, url } } });
      console.log(
        `Context ${name} is ${url}${current === name ? ", and in use" : `; to use it: tandem context use ${name}`}.`,
      );
    });
}

function useCommand(): Command {
  return new Command("use")
    .description("Use a context in commands that name no server, until another is chosen.")
    .argument("<name>")
    .addHelpText("after", "\nExample:\n  tandem context use production")
    .action(async (name: string) => {
      const { contexts } = readContexts(contextsFile());
      if (!contexts[name]) throw new Error(unknownContext(name, contexts));
      await write({ current: name, contexts });
      console.log(`Commands that name no server talk to ${visibleText(contexts[name].url)} from now on.`);
    });
}

function removeCommand(): Command {
  return new Command("remove")
    .description("Forget a context. Its token file stays.")
    .argument("<name>")
    .addHelpText("after", "\nExample:\n  tandem context remove local")
    .action(async (name: string) => {
      const { current, contexts } = readContexts(contextsFile());
      if (!contexts[name]) throw new Error(unknownContext(name, contexts));
      const { [name]: _, ...rest } = contexts;
      await write({ contexts: rest, ...(current !== name && { current }) });
      console.log(`Context ${name} is gone${current === name ? "; none is in use" : ""}.`);
    });
}

function write(contexts: Contexts): Promise<void> {
  return writeContexts(contextsFile(), contexts);
}

const COLUMNS = [
  { title: "", read: ({ isCurrent }: Row) => (isCurrent ? "*" : "") },
  { title: "context", read: ({ name }: Row) => visibleText(name) },
  { title: "url", read: ({ url }: Row) => visibleText(url) },
  { title: "token_file", read: ({ tokenFile }: Row) => tokenFile && visibleText(tokenFile) },
  { title: "data_dir", read: ({ dataDir }: Row) => dataDir && visibleText(dataDir) },
];

type Row = NamedContext & { readonly isCurrent: boolean };

function parseName(text: string): string {
  if (CONTEXT_NAME.test(text)) return text;
  throw new InvalidArgumentError("Expected 1 to 64 letters, digits, dots, dashes and underscores.");
}

function parseUrl(text: string): string {
  const url = URL.parse(text);
  if (url?.protocol === "http:" || url?.protocol === "https:") return url.origin;
  throw new InvalidArgumentError("Expected http://host:port or https://host:port.");
}
