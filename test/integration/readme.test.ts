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
 * Runs a command of the README as it stands, with its address and token; a live one until what it
 * has written is enough.
 */
async function runCommand(containing: string, isEnough?: (stdout: Buffer) => boolean) {
  const command = commands.find((text) => text.includes(containing));
  if (!command) throw new Error(`the README has no command with ${containing}`);
  const environment = { URL: exchange.url, TOKEN: await exchange.carrierToken("nordlys-tele") };
  return await runShell(command, environment, isEnough);
}

test("the README's curl for a unary method answers in JSON", async () => {
  const { exitCode, stdout } = await runCommand("GetCdrFeed");
  expect(exitCode).toBe(0);
  expect(JSON.parse(stdout.toString())).toMatchObject({ headSequence: String(RECORDS) });
});

test("the README's curl for a feed follows it, from its oldest entry on, live", async () => {
  const read = (stdout: Buffer) => readEnvelopes(StreamCdrsResponseSchema, stdout);
  const { stdout } = await runCommand("StreamCdrs", (bytes) => framesOf(read(bytes).messages).includes("caughtUp"));
  const { messages, end } = read(stdout);
  expect(framesOf(messages).slice(0, 3)).toEqual(["opened", "batch", "caughtUp"]);
  expect(idsOf(messages)).toHaveLength(RECORDS);
  // It was this test that ended it.
  expect(end).toBeUndefined();
});

test("the README's command follows the feed in lines that a person can read", async () => {
  const linesOf = (stdout: Buffer) => stdout.toString().trim().split("\n");
  const { stdout } = await runCommand("cdrs follow", (bytes) => linesOf(bytes).length >= RECORDS);
  expect(linesOf(stdout)).toHaveLength(RECORDS);
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
