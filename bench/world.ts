import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type App, openApp } from "../src/app.ts";
import { type ConfigOverrides, loadConfig } from "../src/config.ts";
import { openLog } from "../src/log.ts";

/** A Tandem with a durable PostgreSQL of its own in a temporary folder. */
export interface BenchWorld extends AsyncDisposable {
  readonly app: App;
  carrierToken(carrierId: string): Promise<string>;
}

export async function openBenchWorld(overrides: ConfigOverrides = {}): Promise<BenchWorld> {
  // Not mkdtemp: when we run as root, PostgreSQL runs under another account, which must be able to enter.
  const dataDir = join(tmpdir(), `tandem-bench-${randomUUID()}`);
  const app = await openApp(loadConfig({}, { dataDir, port: 0, ...overrides }), openLog("error"));
  return {
    app,
    async carrierToken(carrierId) {
      if (!app.signingKey) throw new Error("the benchmark's Tandem signs its own tokens");
      const { issuer, audience } = { issuer: app.services.config.tokens.issuer, audience: "tandem" };
      return app.signingKey.issueToken({ issuer, audience, identity: "bench", carrierId, ttlSeconds: 86_400 });
    },
    async [Symbol.asyncDispose]() {
      await app[Symbol.asyncDispose]();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
