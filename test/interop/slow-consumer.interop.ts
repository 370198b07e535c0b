import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, describe, expect, test } from "vitest";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { calls, ingest, NUMBER, until, untilNoStreams } from "../support/feed.ts";
import { makeGoModule } from "./go-module.ts";
import {
  CACHE,
  findToolchain,
  listProtos,
  PROTO_ROOT,
  pathWith,
  prepareGoPlugins,
  preparePython,
  run,
} from "./toolchain.ts";

/** Far more than the clients' windows hold, and what the server reads ahead. */
const ENTRIES = 10_000;
const SOURCES = join(import.meta.dirname, "slow-consumer");

const folder = await mkdtemp(join(tmpdir(), "tandem-slow-"));
afterAll(() => rm(folder, { recursive: true, force: true }));

/** How each client is started, but for the address and the token. */
type Command = { readonly program: string; readonly args: readonly string[]; readonly env?: Record<string, string> };
const clients: Record<string, () => Promise<Command>> = {
  "grpc-go": makeGo,
  "grpcio (Python)": makePython,
  "tonic (Rust)": makeRust,
};

describe.each(Object.entries(clients))("%s that does not read", async (name, make) => {
  const made = await findToolchain(name, make);
  const why = "missing" in made ? ` (skipped: ${made.missing})` : "";

  test.skipIf("missing" in made)(
    `gets SLOW_CONSUMER, as Closing and as error, when it reads on within as long again${why}`,
    async () => {
      await using exchange = await startStalling(4_000);
      using client = await startClient(made, exchange);
      // The limit is over after 4 s, the grace after 9.
      const opened = performance.now();
      await until(() => performance.now() - opened > 6_500, true);
      expect(await client.readOn()).toMatchObject({
        code: expect.stringMatching(/^unavailable$/i),
        closing: "FEED_CLOSING_REASON_SLOW_CONSUMER",
        reason: "tandem/SLOW_CONSUMER",
        retry: true,
      });
    },
  );

  test.skipIf("missing" in made)(
    `gets CANCELLED without ErrorInfo, the sign of a cut, when it reads on later than that${why}`,
    async () => {
      await using exchange = await startStalling(200);
      using client = await startClient(made, exchange);
      await untilNoStreams(exchange);
      expect(await client.readOn()).toMatchObject({
        code: expect.stringMatching(/^cancell?ed$/i),
        closing: "",
        reason: "",
        retry: false,
      });
    },
  );
});

async function startStalling(maxStallMs: number): Promise<Exchange> {
  const exchange = await startExchange({ maxStallMs });
  await exchange.addCarrier("alpha");
  await exchange.assignNumbers("alpha", [NUMBER]);
  await ingest(exchange, "alpha", calls("r", ENTRIES));
  return exchange;
}

interface SlowClient extends Disposable {
  /** Lets the client read to the stream's end, and returns what it got. */
  readOn(): Promise<unknown>;
}

/**
 * Starts a client, and returns once it has the stream's first message, after which it does not
 * read.
 */
async function startClient(
  made: Awaited<ReturnType<typeof findToolchain<Command>>>,
  exchange: Exchange,
): Promise<SlowClient> {
  if ("missing" in made) throw new Error(made.missing);
  const { program, args, env } = made.tools;
  const child = spawn(program, [...args, `127.0.0.1:${exchange.port}`, await exchange.carrierToken("alpha")], {
    env: { ...process.env, ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe("opened");
  return {
    readOn: async () => {
      child.stdin.write("\n");
      const line = await lines.next();
      await exitOf(child);
      return JSON.parse(line.value ?? "");
    },
    [Symbol.dispose]: () => child.kill(),
  };
}

async function exitOf(child: ChildProcess): Promise<void> {
  if (child.exitCode === null) await once(child, "exit");
}

async function makeGo(): Promise<Command> {
  const module = join(folder, "go");
  await mkdir(module);
  await makeGoModule(module, await prepareGoPlugins(), await preparePython());
  await copyFile(join(SOURCES, "go/main.go"), join(module, "main.go"));
  await run("go", ["mod", "tidy"], { cwd: module });
  await run("go", ["build", "-o", "slow-consumer", "."], { cwd: module });
  return { program: join(module, "slow-consumer"), args: [] };
}

async function makePython(): Promise<Command> {
  const bin = await preparePython();
  const generated = join(folder, "python");
  await mkdir(generated);
  const outputs = ["--python_out", "--grpc_python_out"].map((option) => `${option}=${generated}`);
  await run(join(bin, "python"), ["-m", "grpc_tools.protoc", `-I${PROTO_ROOT}`, ...outputs, ...(await listProtos())]);
  const args = [join(SOURCES, "python/main.py")];
  return { program: join(bin, "python"), args, env: { PYTHONPATH: generated } };
}

async function makeRust(): Promise<Command> {
  const target = join(CACHE, "rust");
  const env = { TANDEM_PROTO: PROTO_ROOT, CARGO_TARGET_DIR: target, PATH: pathWith(await preparePython()) };
  await run("cargo", ["build", "--quiet", "--locked"], { cwd: join(SOURCES, "rust"), env });
  return { program: join(target, "debug/slow-consumer"), args: [] };
}
