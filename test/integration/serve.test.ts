import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeSettings } from "../../src/config/config.ts";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../src/gen/grpc/health/v1/health_pb.js";
import { CdrService } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { type CliResult, runCli } from "../support/cli.ts";
import { createTestDatabase } from "../support/database.ts";
import { reasonOf } from "../support/refusal.ts";

const cli = join(import.meta.dirname, "../../src/cli.ts");
let dataDir: string;
let database: Awaited<ReturnType<typeof createTestDatabase>>;
let settings: Record<string, string>;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "tandem-serve-"));
  database = await createTestDatabase();
  settings = { TANDEM_DATABASE_URL: database.url, TANDEM_ISSUE_TOKENS: "on", TANDEM_DATA_DIR: dataDir };
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
  await rm(dataDir, { recursive: true });
});

test.each(["SIGTERM", "SIGINT"] as const)(
  "`tandem serve` says where it listens, takes the tokens of `tandem token`, and ends cleanly at %s",
  async (signal) => {
    const server = start(["serve", "--port", "0"]);
    const line = await readFirstLine(server);
    const url = /^Tandem listens on (http:\/\/127\.0\.0\.1:\d+)\. For a token: /.exec(line)?.[1] ?? "";
    expect((await createClient(Health, createGrpcTransport({ baseUrl: url })).check({})).status).toBe(Status.SERVING);
    const { stdout: token } = await run(["token", "--platform", "--scopes", "cdrs.read", "--ttl", "5m"]);
    const cdrs = createClient(CdrService, createGrpcTransport({ baseUrl: url, interceptors: [bearer(token.trim())] }));
    expect(await reasonOf(cdrs.listCdrs({ carrierId: "nobody" }))).toBe("CARRIER_NOT_FOUND");

    const ended = once(server, "exit");
    server.kill(signal);
    expect(await ended).toEqual([0, null]);
  },
);

test("`tandem serve` names every mistake, without a stack, and does not start", async () => {
  const failure = await run(["serve", "--port", "x"], { TANDEM_HOST: "0.0.0.0", TANDEM_LOG_LEVEL: "loud" });
  expect(failure.code).toBe(1);
  for (const variable of ["TANDEM_HOST", "TANDEM_LOG_LEVEL", "TANDEM_PORT"]) expect(failure.stderr).toContain(variable);
  expect(failure.stderr).not.toContain("at loadConfig");
});

test("`tandem migrate` may be run again and again", async () => {
  await using fresh = await createTestDatabase();
  const onFresh = { TANDEM_DATABASE_URL: fresh.url, TANDEM_ISSUE_TOKENS: "" };
  expect((await run(["migrate"], onFresh)).stdout).toContain("Applied 0001-exchange");
  expect((await run(["migrate"], onFresh)).stdout).toBe("The database has the newest schema.\n");
});

test("`tandem token` asks whose token, and refuses when another issues them", async () => {
  expect((await run(["token"])).stderr).toContain("--carrier <id>, or --platform");
  expect((await run(["token", "--platform", "--ttl", "1y"])).stderr).toContain("1h or 7d");
  expect((await run(["token", "--platform", "--scopes", "everything"])).stderr).toContain("Unknown scope: everything");
  const outside = {
    TANDEM_ISSUE_TOKENS: "",
    TANDEM_JWKS_URL: "https://i.example/jwks",
    TANDEM_JWT_ISSUER: "i",
    TANDEM_JWT_AUDIENCE: "a",
  };
  expect((await run(["token", "--platform"], outside)).stderr).toContain("another issuer");
});

test("help shows a newcomer every command and every setting", async () => {
  const { stdout } = await run(["--help"]);
  for (const command of ["serve", "token", "migrate"]) expect(stdout).toContain(command);
  const { stdout: help } = await run(["help", "serve"]);
  for (const { variable } of describeSettings()) expect(help).toContain(variable);
});

type Server = ChildProcessByStdio<null, Readable, null>;

function start(args: string[]): Server {
  return spawn(process.execPath, [cli, ...args], {
    env: { ...process.env, ...settings },
    stdio: ["ignore", "pipe", "inherit"],
  });
}

/** Fails, rather than waits, when the process ends without a line. */
async function readFirstLine(server: Server): Promise<string> {
  let text = "";
  for await (const chunk of server.stdout.iterator({ destroyOnReturn: false })) {
    text += chunk;
    if (text.includes("\n")) return text;
  }
  throw new Error(`the process ended after: ${text}`);
}

function run(args: string[], more: Record<string, string> = {}): Promise<CliResult> {
  return runCli(args, { ...settings, ...more });
}

function bearer(token: string): NonNullable<Parameters<typeof createGrpcTransport>[0]["interceptors"]>[number] {
  return (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
}
