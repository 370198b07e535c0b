import { createRequire } from "node:module";
import { Command } from "commander";
import { fitHelp } from "./terminal/fit-help.ts";
import { terminalWidth } from "./terminal/width.ts";

const { version } = createRequire(import.meta.url)("../../package.json") as { version: string };

/** A command of the first level. What it needs is read only when it is asked for. */
interface FirstCommand {
  readonly description: string;
  readonly load: () => Promise<Command>;
}

const GROUPS: Readonly<Record<string, Readonly<Record<string, FirstCommand>>>> = {
  "See it:": {
    demo: {
      description: "See it work: three carriers and a day of calls on a temporary server, with every stream cut off.",
      load: async () => (await import("./demo.ts")).demoCommand(),
    },
  },
  "Run it:": {
    serve: {
      description: "Serve until SIGTERM or Ctrl-C: by default on loopback, with a PostgreSQL of its own in ./.tandem.",
      load: async () => (await import("./serve.ts")).serveCommand(),
    },
    token: {
      description: "Print a bearer token for a server on this data folder, signed with the folder's key.",
      load: async () => (await import("./trust/token.ts")).tokenCommand(),
    },
    migrate: {
      description:
        "Migrate the database to the newest schema and prove that it isolates carriers. `serve` does both by itself.",
      load: async () => (await import("./migrate.ts")).migrateCommand(),
    },
    verify: {
      description:
        "Check that stored data is consistent: dense feeds, keys and records, uploads and verdicts, numbers, the audit log.",
      load: async () => (await import("./verify.ts")).verifyCommand(),
    },
    doctor: {
      description: "Look at what a server stands on: settings, database, keys, clock, disk. Say what to mend, and how.",
      load: async () => (await import("./doctor.ts")).doctorCommand(),
    },
    epoch: {
      description: "Feed epochs: needed after a restore.",
      load: async () => (await import("./epoch.ts")).epochCommand(),
    },
    clock: {
      description: "Feeds that wait for the database's clock, after it ran ahead and was corrected.",
      load: async () => (await import("./clock.ts")).clockCommand(),
    },
    keys: {
      description: "Manage the keys that seal cursors and page tokens, and the key files that processes share.",
      load: async () => (await import("./trust/keys.ts")).keysCommand(),
    },
    completion: {
      description: "Print what makes bash, zsh or fish complete commands, options and their values.",
      load: async () => (await import("./completion.ts")).completionCommand(),
    },
    backup: {
      description: "Copy the embedded PostgreSQL, the keys and the journal of erasures into a folder, while it serves.",
      load: async () => (await import("./backup.ts")).backupCommand(),
    },
    restore: {
      description: "Make a new data folder from a backup: check it, recover it, and begin a new epoch of its feeds.",
      load: async () => (await import("./restore.ts")).restoreCommand(),
    },
  },
  "Talk to a running server:": {
    context: {
      description: "Servers by names, each with its token file, so that no command has to repeat them.",
      load: async () => (await import("./context.ts")).contextCommand(),
    },
    carriers: {
      description: "Onboard, change and suspend carriers (platform only; scopes carriers.read and .write).",
      load: async () => (await import("./carriers.ts")).carriersCommand(),
    },
    numbers: {
      description: "Phone numbers: a carrier provisions and watches them, the platform assigns and ports them.",
      load: async () => (await import("./numbers.ts")).numbersCommand(),
    },
    cdrs: {
      description: "A carrier's call detail records and quality (--carrier <id>, or its token).",
      load: async () => (await import("./cdrs.ts")).cdrsCommand(),
    },
    durations: {
      description: "Call durations by the carrier's own clock (--carrier <id>, or its token).",
      load: async () => (await import("./durations.ts")).durationsCommand(),
    },
    reconcile: {
      description: "Where the platform's records and the carriers' durations agree, where they do not, and why.",
      load: async () => (await import("./reconcile.ts")).reconcileCommand(),
    },
    usage: {
      description: "A customer's calls, from both sides' records; closed periods.",
      load: async () => (await import("./usage.ts")).usageCommand(),
    },
    privacy: {
      description: "Retention, holds, erasure, export, disclosures and the audit log.",
      load: async () => (await import("./privacy.ts")).privacyCommand(),
    },
  },
};

/**
 * The command `tandem`. Of its commands only the one that is asked for is whole: to read all of
 * them takes most of a second.
 * @param words of the command line.
 */
export async function createProgram(words: readonly string[]): Promise<Command> {
  const [first, second] = words.filter((word) => !word.startsWith("-"));
  const asked = first === "help" ? second : first;
  const program = new Command("tandem")
    .description(
      "A gRPC exchange between a calling platform and its carriers: numbers, calls and call durations, with nothing lost.",
    )
    .version(version)
    .addHelpText(
      "after",
      `
From nothing to a followed feed, next to a server started by \`tandem serve\`:
  tandem carriers create nordlys-tele --country DK --time-zone Europe/Copenhagen
  tandem numbers provision +4510000001 --carrier nordlys-tele --country DK
  tandem numbers assign +4510000001 --carrier nordlys-tele --customer cedar-bank
  tandem cdrs follow --carrier nordlys-tele --from earliest

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 durations uploaded and some refused, 4 doctor has warnings only.`,
    );
  for (const [group, commands] of Object.entries(GROUPS)) {
    program.commandsGroup(group);
    for (const [name, { description, load }] of Object.entries(commands))
      program.addCommand((name === asked ? await load() : new Command(name)).description(description));
  }
  if (asked === COMPLETE)
    program.addCommand((await import("./completion.ts")).completeCommand(createProgram), { hidden: true });
  prepare(program);
  return program;
}

/** What completion scripts call. */
const COMPLETE = "__complete";
/** Where it is not printed in a terminal. */
const HELP_WIDTH = 80;

/** What commander does not hand down to commands that were added whole. */
function prepare(command: Command): void {
  command.configureOutput({
    writeOut: (text) => void process.stdout.write(fitHelp(text, terminalWidth() ?? HELP_WIDTH)),
    writeErr: (text) => void process.stderr.write(text),
  });
  command.exitOverride().showHelpAfterError(`(\`${pathOf(command)} --help\` explains it)`);
  for (const child of command.commands) prepare(child);
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}
