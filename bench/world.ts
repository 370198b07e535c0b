import { randomUUID } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { type App, openApp } from "../src/app.ts";
import { type ConfigOverrides, loadConfig } from "../src/config/config.ts";
import { PLATFORM_SCOPES, type PlatformScope } from "../src/domain/carriers/scopes.ts";
import { openLog } from "../src/log.ts";

/** A Tandem with a durable PostgreSQL of its own in a temporary folder. */
export interface BenchWorld extends AsyncDisposable {
  readonly app: App;
  /** Where its keys are. */
  readonly dataDir: string;
  /** The process that all of PostgreSQL's others are below. */
  readonly postgresPid: number;
  carrierToken(carrierId: string): Promise<string>;
  platformToken(): Promise<string>;
  /** A connection that streams COPY, which those of the store, being pipelined, cannot. */
  connectForCopy(): Promise<pg.Client & AsyncDisposable>;
}

export async function openBenchWorld(overrides: ConfigOverrides = {}): Promise<BenchWorld> {
  // Not mkdtemp: when we run as root, PostgreSQL runs under another account, which must be able to
  // enter.
  const dataDir = join(tmpdir(), `tandem-bench-${randomUUID()}`);
  const app = await openApp(
    loadConfig({}, { dataDir, port: 0, reconcileIntervalMs: 0, ...overrides }),
    openLog("error"),
  );
  const postmaster = await readFile(join(dataDir, "postgres", "cluster", "postmaster.pid"), "utf8");
  return {
    app,
    dataDir,
    postgresPid: Number(postmaster.split("\n")[0]),
    carrierToken: (carrierId) => issueToken(app, { identity: "bench", carrierId }),
    platformToken: () => issueToken(app, { identity: "platform", scopes: PLATFORM_SCOPES }),
    async connectForCopy() {
      const client = new pg.Client({ connectionString: app.services.db.pool.options.connectionString });
      await client.connect();
      return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
    },
    async [Symbol.asyncDispose]() {
      await app[Symbol.asyncDispose]();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

function issueToken(
  { services, signingKey }: App,
  claims: { identity: string; carrierId?: string; scopes?: readonly PlatformScope[] },
): Promise<string> {
  if (!signingKey) throw new Error("the benchmark's Tandem signs its own tokens");
  const { issuer } = services.config.tokens;
  return signingKey.issueToken({ issuer, audience: "tandem", ttlSeconds: 86_400, ...claims });
}
