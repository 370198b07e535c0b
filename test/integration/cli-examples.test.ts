import { glob, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCli } from "../support/cli.ts";
import { type CliCommand, listCliCommands, SLOW_EXAMPLES, splitExample } from "../support/cli-commands.ts";
import { listMethods } from "../support/contract.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, ingest } from "../support/feed.ts";
import { reconcileFully } from "../support/reconcile.ts";

// Every example of every command's help is run here as it stands, against a small world. Only
// times, ids that the server makes, and files' folders are put in their place.

const ROOT = join(import.meta.dirname, "../..");
const CARRIER = "nordlys-tele";
const DAY_MS = 86_400_000;
/** The day of most examples, 2026-03-01, is this one; the others are as far from it as they say. */
const THE_DAY = Date.now() - 40 * DAY_MS;

const SLOW: ReadonlySet<string> = new Set(SLOW_EXAMPLES);

/** What comes first, in this order. The rest follows in the order of the help. */
const FIRST = [
  "carriers create",
  "numbers provision",
  "numbers assign",
  "durations upload",
  "carriers get",
  "numbers unassign",
  "privacy hold create",
  "privacy hold release",
  "privacy export",
  "privacy disclosures",
];
/** What takes away what others show. */
const LAST = [
  "numbers release",
  "numbers port",
  "privacy erase",
  "privacy erase status",
  "epoch rotate",
  "epoch confirm",
];

let exchange: Exchange;
let folder: string;
let settings: Record<string, string>;
let commands: readonly CliCommand[];
/** Ids that the server has made, by what the examples call them. */
const made: Record<string, string> = {};

beforeAll(async () => {
  commands = await listCliCommands();
  exchange = await startExchange();
  folder = await mkdtemp(join(tmpdir(), "tandem-examples-"));
  settings = {
    TANDEM_URL: exchange.url,
    TANDEM_CONTEXTS_FILE: join(folder, "contexts.json"),
    TANDEM_DATA_DIR: exchange.dataDir,
    TANDEM_DATABASE_URL: exchange.databaseUrl,
    TANDEM_ISSUE_TOKENS: "on",
  };
  await exchange.addCarrier("sund-telefon");
  await writeFile(join(folder, "lost.token"), await exchange.carrierToken("sund-telefon"), { mode: 0o600 });
});

afterAll(async () => {
  await exchange?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test("every command has an example", () => {
  expect(commands.filter(({ examples }) => examples.length === 0).map(({ path }) => path)).toEqual([]);
  for (const { path, examples } of commands)
    for (const example of examples) expect([path, example]).toEqual([path, expect.stringMatching(/^tandem [a-z]/)]);
});

test("every command that asks a server prints JSON and CSV as well as text, and every other one JSON", () => {
  const flagsOf = ({ command }: CliCommand) => command.options.map(({ long }) => long);
  const isWithout = (flag: string) => (each: CliCommand) => !flagsOf(each).includes(flag);
  const without = (flag: string, of: readonly CliCommand[]) => of.filter(isWithout(flag)).map(({ path }) => path);
  expect(without("--json", commands)).toEqual(["serve", "completion", "context set", "context use", "context remove"]);
  // What it says has no rows of one kind: a receipt, and what became of which lines.
  const remote = commands.filter(({ command }) => command.options.some(({ long }) => long === "--url"));
  expect(
    without(
      "--csv",
      remote.filter(({ path }) => path !== "context set"),
    ),
  ).toEqual(["durations upload"]);
});

test("every method of the contract is reached by a command", async () => {
  const read = async (folder: string) => {
    const files = await Array.fromAsync(glob(`src/${folder}/**/*.ts`, { cwd: ROOT }));
    return Promise.all(files.map((file) => readFile(join(ROOT, file), "utf8")));
  };
  const sources = [...(await read("cli")), ...(await read("client"))].join("\n");
  const methods = [...(await listMethods("carrier")), ...(await listMethods("platform"))];
  const missing = methods.filter(({ localName }) => !new RegExp(`\\b${localName}\\b`).test(sources));
  // `durations upload` sends the same records; this one is for backends that send them one by one.
  expect(missing.map(({ name }) => name)).toEqual(["AppendDurations"]);
});

test("every example does what it says: against a server with a small world it ends well", async () => {
  for (const { path, examples } of inOrder()) {
    await PREPARE[path]?.();
    for (const example of examples) await runExample(path, example);
  }
});

/** What has to be there before a command's examples, and no earlier example has made. */
const PREPARE: Readonly<Record<string, () => Promise<unknown>>> = {
  "durations upload": async () => {
    await ingest(exchange, CARRIER, [cdr()]);
    const answer = new Date(THE_DAY + 5_000).toISOString();
    const file = join(folder, "today.csv");
    await writeFile(
      file,
      `record_id,direction,calling,called,invite_time,answer_time,answered,connected_duration_ms\n` +
        `sw1-000001,outbound,+4510000001,+12025550123,${new Date(THE_DAY).toISOString()},${answer},yes,50000\n`,
    );
    // The same day's call of another minute, as Asterisk writes it: UTC but for an hour or two.
    const at = (seconds: number) => new Date(THE_DAY + seconds * 1_000).toISOString().slice(0, 19).replace("T", " ");
    await writeFile(
      join(folder, "Master.csv"),
      `"","+4510000001","+12025550124","pstn","","A/a-1","A/b-2","Dial","","${at(60)}","${at(65)}","${at(115)}",55,50,"ANSWERED","","1",""\n`,
    );
    await ok(["durations", "upload", file, "--carrier", CARRIER, "--upload-id", "march-2026"]);
    await reconcileFully(exchange.services.db, CARRIER);
    const { discrepancies } = await json(["reconcile", "list", "--carrier", CARRIER]);
    made["5Xb0e7wYQd1mRk2n"] = discrepancies[0].discrepancyId;
  },
  "numbers unassign": () => ok(["numbers", "assign", "+4510000002", "--carrier", CARRIER, "--customer", "cedar-bank"]),
  "cdrs commit": async () => {
    made["CURSOR"] = (await json(["cdrs", "resolve", "--carrier", CARRIER, "--at", "90d"])).cursor;
  },
  "privacy hold release": async () => {
    made["4f1c"] = (await json(["privacy", "hold", "list", "--carrier", CARRIER])).holds[0].holdId;
  },
  "privacy audit verify": async () => {
    const { chains } = await json(["privacy", "audit", "verify", "--carrier", CARRIER]);
    made["1204"] = chains[0].lastSequence;
    made["5f1c..."] = Buffer.from(chains[0].lastHash, "base64").toString("hex");
  },
  "privacy erase status": async () => {
    const { events } = await json([
      "privacy",
      "audit",
      "list",
      "--method",
      "tandem.platform.v1.PrivacyService/ErasePhoneNumber",
    ]);
    made["0198c2f0"] = events[0].resource.replace(/^erasures?\//, "");
  },
};

async function runExample(path: string, example: string): Promise<void> {
  const { args, output } = splitExample(atNow(example));
  const { code, stdout, stderr } = await runCli(args.map(inPlace).concat(untilTheEnd(path, args)), settings);
  // The test's PostgreSQL does without what `doctor` warns of.
  const isWell = code === 0 || (path === "doctor" && code === 4);
  expect({ example, isWell, told: isWell ? "" : stdout + stderr }).toEqual({ example, isWell: true, told: "" });
  if (output === undefined) return;
  expect(stdout).not.toBe("");
  await writeFile(join(folder, output), stdout);
}

function inOrder(): CliCommand[] {
  const rank = ({ path }: CliCommand) =>
    FIRST.includes(path) ? FIRST.indexOf(path) : FIRST.length + LAST.indexOf(path) + 1;
  return commands.filter(({ path }) => !SLOW.has(path)).sort((left, right) => rank(left) - rank(right));
}

/** A day as far from the world's as it is from 2026-03-01; a month is the last one. */
function atNow(example: string): string {
  const lastMonth = new Date(Date.UTC(new Date().getUTCFullYear(), new Date().getUTCMonth() - 1, 1));
  return example
    .replaceAll(/\b20\d\d-\d\d-\d\d(?!\d)/g, (day) => isoDay(THE_DAY + Date.parse(day) - Date.parse("2026-03-01")))
    .replaceAll(/\b20\d\d-\d\d(?= )/g, isoDay(lastMonth.getTime()).slice(0, 7));
}

function inPlace(arg: string): string {
  const known = made[arg];
  if (known !== undefined) return known;
  return /^[\w-]+\.(csv|cursor|jsonl?|token)$/.test(arg) ? join(folder, arg) : arg;
}

/** What follows for as long as it is let stops at the end here. */
function untilTheEnd(path: string, args: readonly string[]): string[] {
  if (path === "numbers watch") return ["--until-synced"];
  return path.endsWith(" follow") && !args.includes("--until") ? ["--until", "head"] : [];
}

/** A call that the carrier says was ten seconds shorter. */
function cdr() {
  const parties = { calling: { kind: 1, value: "+4510000001" }, called: { kind: 1, value: "+12025550123" } };
  return call("cdr-4711", { callId: "call-4711", parties }, THE_DAY);
}

async function ok(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCli(args, settings);
  expect([args, code, code === 0 ? "" : stderr]).toEqual([args, 0, ""]);
  return stdout;
}

// biome-ignore lint/suspicious/noExplicitAny: what each command prints is its own
async function json(args: readonly string[]): Promise<any> {
  return JSON.parse(await ok([...args, "--json"]));
}

function isoDay(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
