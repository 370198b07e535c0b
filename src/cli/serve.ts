import { Command } from "commander";
import type { App } from "../app.ts";
import { type Config, describeSettings, loadConfig } from "../config/config.ts";
import { maskSecrets } from "../domain/privacy/secrets.ts";
import { visibleText } from "../domain/privacy/visible-text.ts";
import { parseDatabaseUrl } from "./shared/store-options.ts";

/** Longest time to close everything after a drain, if the database is gone. */
const CLOSE_MS = 15_000;

/** `tandem serve`: serves until SIGTERM or SIGINT, then drains; a second signal ends it at once. */
export function serveCommand(): Command {
  return new Command("serve")
    .option("--host <address>", "address to listen on (TANDEM_HOST)")
    .option("--port <port>", "port to listen on; 0 = any free port (TANDEM_PORT)")
    .option("--data-dir <folder>", "data folder (TANDEM_DATA_DIR)")
    .option(
      "--database-url <url>",
      "your own PostgreSQL; if the URL has a password, use TANDEM_DATABASE_URL",
      parseDatabaseUrl,
    )
    .addHelpText(
      "after",
      () =>
        `\nExamples:\n  tandem serve\n  tandem serve --port 0 --data-dir /srv/tandem\n\nSettings, from the environment:\n${listSettings()}`,
    )
    .action(serve);
}

type ServeOptions = { host?: string; port?: string; dataDir?: string; databaseUrl?: string };

async function serve(options: ServeOptions): Promise<void> {
  const config = loadConfig(undefined, options);
  const stop = stopSignal();
  // Loaded only here: the commands that talk to a server need not wait for all of one.
  const { openApp } = await import("../app.ts");
  await using app = await openApp(config, undefined, stop.signal).catch((error) => endedBeforeItServed(stop, error));
  if (!app) return;
  stop.started();
  reloadAtHangup(app);
  // Whoever started it may close its output and still want it to serve.
  process.stdout.on("error", () => {});
  console.log(`Tandem listens on ${app.url}. ${tokenHint(config)}`);
  if (config.databaseUrl === undefined) console.log(dataHint(config));
  const end = await Promise.race([stop.came, app.failure]);
  if (end instanceof Error) return await endForFailure(app, end, config.limits.drainMs);
  console.log(`${end}: draining for at most ${config.limits.drainMs / 1000} s. Repeat to end at once.`);
  await app.drain();
}

/** Calls in flight are told; then the process ends with the error, so a supervisor sees it. */
async function endForFailure(app: App, failure: Error, drainMs: number): Promise<never> {
  // Without its database nothing says how long the rest would take.
  setTimeout(() => process.exit(1), drainMs + CLOSE_MS).unref();
  console.error(`tandem: ${visibleText(maskSecrets(failure.message))}`);
  try {
    await app[Symbol.asyncDispose]();
  } catch {
    // What cannot be closed without the database ends with the process.
  }
  process.exit(1);
}

/** Not at a terminal: there the signal means that it was closed, and the process should end. */
function reloadAtHangup(app: Pick<App, "reload">): void {
  if (!process.stdin.isTTY && !process.stdout.isTTY) process.on("SIGHUP", () => void app.reload());
}

function dataHint({ dataDir, dataDirReason }: Config): string {
  const why = dataDirReason === undefined ? "" : `, not in ./.tandem: ${dataDirReason}`;
  return `Its data is in ${dataDir}${why}.`;
}

function tokenHint(config: Config): string {
  if (config.tokens.keys.kind === "none") return "Callers need a client certificate.";
  if (config.tokens.keys.kind !== "own") return `Callers need a token of ${config.tokens.issuer}.`;
  // From a checkout there is no `tandem` to call.
  const tandem = process.argv[1]?.endsWith(".ts") ? "npm run -s tandem --" : "npx tandem";
  return `For a token: ${tandem} token --platform, or ${tandem} token --carrier <id>`;
}

type StopName = keyof typeof STOP_CODES;
/** How shells tell that a signal ended a process. */
const STOP_CODES = { SIGTERM: 143, SIGINT: 130 };
/** How long a start may take to end when it is stopped, milliseconds. */
const STOP_START_MS = 10_000;

type Stop = ReturnType<typeof stopSignal>;

/** The first SIGTERM or SIGINT stops, even during the start; the next one ends the process. */
function stopSignal() {
  const controller = new AbortController();
  const { promise: came, resolve } = Promise.withResolvers<StopName>();
  let isStarted = false;
  let limit: NodeJS.Timeout | undefined;
  const stop = (name: StopName) => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort(name);
    resolve(name);
    if (!isStarted) limit = setTimeout(() => process.exit(STOP_CODES[name]), STOP_START_MS).unref();
  };
  for (const name of Object.keys(STOP_CODES) as StopName[]) process.on(name, stop);
  return {
    /** Resolves with the first of SIGTERM and SIGINT. */
    came,
    /** Aborted by it. */
    signal: controller.signal,
    /** To be told that the start is over: until then a stop has a limit. */
    started: () => {
      isStarted = true;
      clearTimeout(limit);
    },
  };
}

async function endedBeforeItServed(stop: Stop, error: unknown): Promise<undefined> {
  if (!stop.signal.aborted) throw error;
  const name = await stop.came;
  console.log(`${name}: ended before it served.`);
  process.exitCode = STOP_CODES[name];
}

function listSettings(): string {
  const settings = describeSettings();
  const width = Math.max(...settings.map(({ variable }) => variable.length));
  return settings
    .map(({ variable, description, default: fallback }) => {
      const note = fallback === undefined ? "" : ` [${fallback}]`;
      return `  ${variable.padEnd(width)}  ${description}${note}`;
    })
    .join("\n");
}
