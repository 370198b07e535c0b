import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
import { openSigningKey } from "../../src/trust/signing-key.ts";
import { runCli, spawnCli } from "../support/cli.ts";
import { createTestDatabase } from "../support/database.ts";
import { reasonOf } from "../support/refusal.ts";

const CLI = join(import.meta.dirname, "../../src/cli.ts");
const PASSWORD = "hunter2-is-not-to-be-seen";

let database: Awaited<ReturnType<typeof createTestDatabase>>;
let folder: string;
beforeAll(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), "tandem-secrets-"));
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test("a serving process shows no password, key or token: not in its command line, not in its log at its most talkative, not in its answers; and takes SIGHUP", async () => {
  const env = {
    ...process.env,
    TANDEM_DATABASE_URL: database.url,
    TANDEM_ISSUE_TOKENS: "on",
    TANDEM_DATA_DIR: folder,
    TANDEM_LOG_LEVEL: "trace",
  };
  const server = spawn(process.execPath, [CLI, "serve", "--port", "0"], { env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [server.stdout, server.stderr]) stream.on("data", (chunk) => (output += chunk));
  await expect.poll(() => output).toContain("Tandem listens on");
  const baseUrl = /http:\/\/127\.0\.0\.1:\d+/.exec(output)?.[0] ?? "";
  const key = await openSigningKey(folder);
  const common = { issuer: "tandem", audience: "tandem", ttlSeconds: 600 };
  const good = await key.issueToken({ ...common, identity: "ops", scopes: ["carriers.read"] });
  const strange = await key.issueToken({ ...common, audience: "another", identity: "acme", carrierId: "acme" });
  const call = (token: string) => ({
    durations: createClient(DurationService, transportOf(baseUrl, token)),
    carriers: createClient(CarrierService, transportOf(baseUrl, token)),
  });
  expect(await reasonOf(call(good).carriers.listCarriers({}))).toBe("OK");
  const refusals = [good, strange, `${good}x`, "no-token-at-all"].map((token) => call(token).durations.listUploads({}));
  const messages = await Promise.all(refusals.map((refusal) => refusal.catch((error: Error) => error.message)));
  expect(messages.join()).toMatch(/permission_denied.*unauthenticated/s);

  // A line that says so is the end of it; another would have killed the process.
  await writeFile(join(folder, "keys", "revoked"), "nonsense");
  server.kill("SIGHUP");
  await expect.poll(() => output).toContain("revocations: the new ones are refused");
  const commandLines = await readCommandLines(server);
  server.kill("SIGTERM");
  await once(server, "exit");
  const privateKey = (JSON.parse(await readFile(join(folder, "keys", "signing.jwk"), "utf8")) as { d: string }).d;
  const { password } = new URL(database.url);
  for (const secret of [good, strange, privateKey, ...(password ? [password] : [])]) {
    expect([output, commandLines, messages.join()].some((text) => text.includes(secret))).toBe(false);
  }
});

test("help, and messages about settings that are wrong, show no secret", async () => {
  const secrets = { TANDEM_DATABASE_URL: `postgresql://tandem:${PASSWORD}@127.0.0.1:1/tandem`, TANDEM_TOKEN: PASSWORD };
  const broken = {
    ...secrets,
    TANDEM_DATABASE_URL: `postgresql://tandem:${PASSWORD}@[nowhere/tandem`,
    TANDEM_DATA_DIR: folder,
  };
  const wrong = { ...secrets, TANDEM_DATABASE_URL: `mysql://tandem:${PASSWORD}@127.0.0.1/tandem` };
  const results = await Promise.all([
    spawnCli(["serve", "--help"], secrets),
    spawnCli(["serve"], { ...broken, TANDEM_ISSUE_TOKENS: "on" }),
    runCli(["migrate"], { ...secrets, TANDEM_DATA_DIR: folder }),
    spawnCli(["serve"], wrong),
    spawnCli(["serve", "--database-url", secrets.TANDEM_DATABASE_URL]),
    runCli(["carriers", "list"], secrets),
    runCli(["carriers", "list", "--token", PASSWORD]),
  ]);
  expect(results.map(({ code }) => code)).toEqual([0, 1, 1, 1, 1, 1, 2]);
  for (const { stdout, stderr } of results) expect(stdout + stderr).not.toContain(PASSWORD);
  expect(results[4]?.stderr).toContain("set TANDEM_DATABASE_URL");
  expect(results[5]?.stderr).toContain("the token is not a JSON Web Token");
});

test("a token is revoked from a file or by its subject, and the signing key rotated, by one command each", async () => {
  const settings = { TANDEM_DATA_DIR: join(folder, "keys-only") };
  const before = await openSigningKey(settings.TANDEM_DATA_DIR);
  const who = { issuer: "tandem", audience: "tandem", identity: "ops", scopes: [], ttlSeconds: 600 };
  const file = join(folder, "lost.token");
  await writeFile(file, await before.issueToken(who));
  const results = [
    await runCli(["token", "revoke", "--token-file", file], settings),
    await runCli(["token", "revoke", "--subject", "nordlys-tele"], settings),
    await runCli(["token", "rotate", "--overlap", "1h"], settings),
  ];
  expect(results.map(({ code }) => code)).toEqual([0, 0, 0]);
  const lines = (await readFile(join(settings.TANDEM_DATA_DIR, "keys", "revoked"), "utf8")).trim().split("\n");
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { token: expect.stringMatching(/^[0-9a-f-]{36}$/) },
    { subject: "nordlys-tele", issued_until: expect.any(String) },
  ]);
  const kids = (await before.reload()).keys.map(({ kid }) => kid);
  expect(kids).toHaveLength(2);
  expect(results[2]?.stdout).toContain(kids[0]);
});

/** Of the process, and of everything else that runs here: the database's processes too. */
async function readCommandLines(server: ChildProcess): Promise<string> {
  if (process.platform !== "linux") return server.spawnargs.join(" ");
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const lines = pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => ""));
  const text = (await Promise.all(lines)).join("\n");
  expect(text).toContain("serve");
  return text;
}

function transportOf(baseUrl: string, token: string) {
  return createGrpcTransport({
    baseUrl,
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
}
