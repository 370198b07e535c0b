import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Interceptor, Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { type App, openApp } from "../../src/app.ts";
import { type ConfigOverrides, loadConfig } from "../../src/config/config.ts";
import { PLATFORM_SCOPES, type PlatformScope } from "../../src/domain/carriers/scopes.ts";
import { openLog } from "../../src/log.ts";
import { createMigratedDatabase } from "./database.ts";

/** A whole Tandem on a database and a port of its own. */
export interface TestApp extends App {
  /** The lines of its log, level warn and above. */
  readonly logged: readonly string[];
  carrierToken(carrierId: string, options?: { identity?: string; ttlSeconds?: number }): Promise<string>;
  platformToken(scopes?: readonly PlatformScope[], options?: { ttlSeconds?: number }): Promise<string>;
  /** A transport that shows a token. */
  connect(
    token?: string,
    options?: { protocol?: "grpc" | "connect" | "grpc-web"; httpVersion?: "1.1" | "2" },
  ): Transport;
}

/**
 * Opens an app for a test, with short limits if asked: `startTestApp({ heartbeatIntervalMs: 50,
 * maxStallMs: 200 })`. It accepts tokens of its own key, and commits without waiting for the disk.
 */
export async function startTestApp(settings: ConfigOverrides = {}): Promise<TestApp> {
  await using opening = new AsyncDisposableStack();
  const database = opening.use(await createMigratedDatabase());
  const dataDir = await mkdtemp(join(tmpdir(), "tandem-app-"));
  opening.defer(() => rm(dataDir, { recursive: true, force: true }));
  const config = loadConfig(
    {},
    {
      databaseUrl: database.url,
      dataDir,
      port: 0,
      issueTokens: true,
      synchronousCommit: "off",
      drainMs: 2_000,
      ...settings,
    },
  );
  const logged: string[] = [];
  const app = opening.use(
    await openApp(
      config,
      openLog("warn", (line) => logged.push(line)),
    ),
  );
  const { issuer, audience } = config.tokens;
  const opened = opening.move();
  const issue = (request: {
    identity: string;
    carrierId?: string;
    scopes?: readonly PlatformScope[];
    ttlSeconds: number;
  }) => {
    if (!app.signingKey) throw new Error("this app does not issue tokens");
    return app.signingKey.issueToken({ issuer, audience, ...request });
  };
  // Not a spread: `callCount` is a getter.
  return Object.assign(Object.create(app) as App, {
    logged,
    carrierToken: (carrierId: string, { identity = carrierId, ttlSeconds = 600 } = {}) =>
      issue({ identity, carrierId, ttlSeconds }),
    platformToken: (scopes: readonly PlatformScope[] = PLATFORM_SCOPES, { ttlSeconds = 600 } = {}) =>
      issue({ identity: "platform", scopes, ttlSeconds }),
    connect: (token?: string, options = {}) => createTransport(app.url, token, options),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  });
}

function createTransport(
  baseUrl: string,
  token: string | undefined,
  { protocol = "grpc", httpVersion = "2" }: { protocol?: "grpc" | "connect" | "grpc-web"; httpVersion?: "1.1" | "2" },
): Transport {
  const bearer: Interceptor = (next) => (request) => {
    if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  const options = { baseUrl, interceptors: [bearer], idleConnectionTimeoutMs: 1_000 };
  if (protocol === "grpc") return createGrpcTransport(options);
  const create = protocol === "connect" ? createConnectTransport : createGrpcWebTransport;
  return create({ ...options, httpVersion });
}
