import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { StreamCdrsResponseSchema } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { readEnvelopes, runShell } from "../support/curl.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { calls, framesOf, idsOf, ingest, NUMBER } from "../support/feed.ts";

const RECORDS = 20;

let exchange: Exchange;
let commands: readonly string[];

beforeAll(async () => {
  exchange = await startExchange();
  await exchange.addCarrier("nordlys-tele");
  await exchange.assignNumbers("nordlys-tele", [NUMBER]);
  await ingest(exchange, "nordlys-tele", calls("r", RECORDS));
  commands = await readCommands("Follow a feed");
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

/**
 * Runs a command of the README as it stands, with its address and token; a live one for a moment.
 */
async function runCommand(containing: string) {
  const command = commands.find((text) => text.includes(containing));
  if (!command) throw new Error(`the README has no command with ${containing}`);
  // Functions, so that the command itself stays as it is.
  const limits = 'curl() { command curl --max-time 3 "$@"; }; npm() { command timeout --signal=INT 15 npm "$@"; };';
  return await runShell(`${limits}\n${command}`, {
    URL: exchange.url,
    TOKEN: await exchange.carrierToken("nordlys-tele"),
  });
}

test("the README's curl for a unary method answers in JSON", async () => {
  const { exitCode, stdout } = await runCommand("GetCdrFeed");
  expect(exitCode).toBe(0);
  expect(JSON.parse(stdout.toString())).toMatchObject({ headSequence: String(RECORDS) });
});

test("the README's curl for a feed follows it, from its oldest entry on, live", async () => {
  const { exitCode, stdout } = await runCommand("StreamCdrs");
  expect(exitCode).toBe(28); // curl's own: the time that this test gave it is over.
  const { messages, end } = readEnvelopes(StreamCdrsResponseSchema, stdout);
  expect(framesOf(messages).slice(0, 3)).toEqual(["opened", "batch", "caughtUp"]);
  expect(idsOf(messages)).toHaveLength(RECORDS);
  expect(end).toBeUndefined();
});

test("the README's command follows the feed in lines that a person can read", async () => {
  const { stdout } = await runCommand("cdrs follow");
  expect(stdout.toString().trim().split("\n")).toHaveLength(RECORDS);
});

/** The shell commands of a section, without their comments. */
async function readCommands(section: string): Promise<string[]> {
  const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  const [, rest = ""] = readme.split(`\n## ${section}\n`);
  const [text = ""] = rest.split("\n## ");
  return [...text.matchAll(/```sh\n(.*?)```/gs)]
    .flatMap(([, block = ""]) => block.replaceAll(/^#.*$/gm, "").split("\n\n"))
    .map((command) => command.trim())
    .filter(Boolean);
}
