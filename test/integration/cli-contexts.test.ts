import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { runCli } from "../support/cli.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";

const NOWHERE = "http://127.0.0.1:2";

let exchange: Exchange;
let folder: string;
let settings: Record<string, string>;

beforeAll(async () => {
  exchange = await startExchange();
  await exchange.addCarrier("nordlys-tele");
  folder = await mkdtemp(join(tmpdir(), "tandem-contexts-"));
  settings = { TANDEM_CONTEXTS_FILE: join(folder, "contexts", "contexts.json") };
  await writeFile(join(folder, "carrier.token"), await exchange.carrierToken("nordlys-tele"), { mode: 0o600 });
});

afterAll(async () => {
  await exchange?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

beforeEach(() => rm(join(folder, "contexts"), { recursive: true, force: true }));

test("a context names a server and its token file, is chosen once, and a command says that it used it", async () => {
  const token = join(folder, "carrier.token");
  const made = await run("context", "set", "mine", "--url", exchange.url, "--token-file", token);
  expect(made).toMatchObject({ code: 0, stdout: `Context mine is ${exchange.url}, and in use.\n` });
  await run("context", "set", "away", "--url", NOWHERE);
  const { code, stdout, stderr } = await run("cdrs", "feed");
  expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringMatching(/entries +0/) });
  expect(stderr).toContain(
    `server: ${exchange.url} (context mine), as carrier that the token names; key: the token in ${token}`,
  );
  expect((await run("context", "use", "away")).stdout).toContain(NOWHERE);
  expect((await run("carriers", "list", "--data-dir", exchange.dataDir)).stderr).toContain("127.0.0.1:2");
  expect((await run("cdrs", "feed", "--context", "mine")).code).toBe(0);
  expect((await run("context")).stdout).toMatch(/^\* +away +http.*$/m);
});

test("a context of a server of this machine names the data folder whose key signs tokens", async () => {
  await run("context", "set", "local", "--url", exchange.url, "--data-dir", exchange.dataDir);
  expect((await run("carriers", "list")).stdout).toContain("nordlys-tele");
});

test("a token that is meant for one server is not sent to another", async () => {
  await run("context", "set", "mine", "--url", exchange.url, "--token-file", join(folder, "carrier.token"));
  const elsewhere = await run(
    "cdrs",
    "feed",
    "--url",
    NOWHERE,
    "--carrier",
    "nordlys-tele",
    "--data-dir",
    exchange.dataDir,
  );
  expect(elsewhere.stderr).not.toContain("carrier.token");
  await run("context", "set", "bare", "--url", exchange.url);
  const asked = await runCli(["cdrs", "feed", "--context", "bare", "--data-dir", folder], {
    ...settings,
    TANDEM_TOKEN: await exchange.carrierToken("nordlys-tele"),
  });
  expect(asked).toMatchObject({ code: 1, stderr: expect.stringContaining("say which carrier") });
  const both = await run("cdrs", "feed", "--context", "mine", "--url", NOWHERE);
  expect(both).toMatchObject({ code: 2, stderr: expect.stringContaining("cannot be used with option '--url") });
});

test("the environment comes before the chosen context, and the command line before both", async () => {
  await run("context", "set", "away", "--url", NOWHERE);
  const there = { ...settings, TANDEM_URL: exchange.url, TANDEM_DATA_DIR: exchange.dataDir };
  expect((await runCli(["carriers", "list"], there)).code).toBe(0);
  expect((await runCli(["carriers", "list", "--context", "away"], there)).stderr).toContain(
    "nothing listens on 127.0.0.1:2",
  );
});

test("a context that is not known is named with the one that may be meant, and nothing is called", async () => {
  await run("context", "set", "production", "--url", NOWHERE);
  expect(await run("carriers", "list", "--context", "prodution")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("there is no context prodution; did you mean production?"),
  });
  expect((await run("context", "use", "other")).stderr).toContain("`tandem context list` shows them all");
  expect((await run("context", "set", "production")).stdout).toContain(NOWHERE);
  expect((await run("context", "set", "new")).stderr).toContain("a new context needs a --url");
  expect((await run("context", "set", "a b", "--url", NOWHERE)).code).toBe(2);
  expect((await run("context", "set", "ftp", "--url", "ftp://x")).stderr).toContain("Expected http://host:port");
});

test("a forgotten context is in use no more, and its token file stays", async () => {
  const token = join(folder, "carrier.token");
  await run("context", "set", "mine", "--url", NOWHERE, "--token-file", token);
  expect((await run("context", "remove", "mine")).stdout).toBe("Context mine is gone; none is in use.\n");
  expect(JSON.parse((await run("context", "list", "--json")).stdout)).toEqual({ contexts: {} });
  expect(await readFile(token, "utf8")).not.toBe("");
});

test("the file is its owner's alone, and one that is broken is named", async () => {
  await run("context", "set", "mine", "--url", NOWHERE);
  const file = settings["TANDEM_CONTEXTS_FILE"] ?? "";
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  await writeFile(file, "{");
  const broken = await run("carriers", "list");
  expect(broken).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`${file} is no file of contexts: it is not JSON`),
  });
});

function run(...args: string[]) {
  return runCli(args, settings);
}
