import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { type App, openApp } from "../../src/app.ts";
import {
  createTandemTransport,
  type TandemTransport,
  type TandemTransportOptions,
} from "../../src/client/transport.ts";
import { type ConfigOverrides, loadConfig } from "../../src/config/config.ts";
import type { Carrier } from "../../src/domain/carriers/carrier.ts";
import { PLATFORM_SCOPES, type PlatformScope } from "../../src/domain/carriers/scopes.ts";
import { microsFromMs } from "../../src/domain/time/instant.ts";
import { openLog } from "../../src/log.ts";
import { addCarrier, assignNumbers } from "./carriers.ts";
import { createMigratedDatabase, type DatabaseOptions } from "./database.ts";

/** A whole Tandem on a database and a port of its own, with what tests need to talk to it. */
export interface Exchange extends App {
  /** The app alone: once it is disposed of, its database and its data folder are still there. */
  readonly app: App;
  readonly databaseUrl: string;
  /** Where its signing key is. */
  readonly dataDir: string;
  /** The lines of its log, level warn and above; empty when a log was given. */
  readonly logged: readonly string[];
  /** Onboards a carrier straight in the store. */
  addCarrier(carrierId: string, settings?: Partial<Carrier>): Promise<Carrier>;
  /**
   * Gives a carrier numbers that have been assigned to a customer since long ago, straight in the
   * store.
   */
  assignNumbers(carrierId: string, numbers: readonly string[], customerId?: string): Promise<void>;
  carrierToken(carrierId: string, options?: { identity?: string; ttlSeconds?: number }): Promise<string>;
  platformToken(scopes?: readonly PlatformScope[], options?: { ttlSeconds?: number }): Promise<string>;
  /** Connect's own transport, in any of its protocols, that shows a token. */
  connect(token?: string, dialect?: Dialect): Transport;
  /** A connection of its own, closed with the exchange. */
  carrierTransport(carrierId: string, options?: Partial<TandemTransportOptions>): Promise<TandemTransport>;
  platformTransport(options?: Partial<TandemTransportOptions>): Promise<TandemTransport>;
  /** On a connection of its own. */
  carrierClient<S extends DescService>(service: S, carrierId: string): Promise<Client<S>>;
  platformClient<S extends DescService>(service: S): Promise<Client<S>>;
  /** Starts another Tandem process's worth of app on the same database and key. */
  openSecondApp(overrides?: ConfigOverrides): Promise<App>;
}

interface Dialect {
  readonly protocol?: "grpc" | "connect" | "grpc-web";
  readonly httpVersion?: "1.1" | "2";
}

/**
 * Starts a Tandem. It accepts tokens of its own key, commits without waiting for the disk, and does
 * not reconcile by itself.
 * @param settings those of `loadConfig`, such as `{ heartbeatIntervalMs: 100 }`, and how many
 *   partitions its database has.
 * @param log in place of the one that is kept.
 * @param env variables beside Tandem's settings, such as those of OpenTelemetry.
 */
export async function startExchange(
  { partitions = "wide", databaseUrl: givenUrl, ...settings }: ConfigOverrides & DatabaseOptions = {},
  log?: ReturnType<typeof openLog>,
  env: Readonly<Record<string, string>> = {},
): Promise<Exchange> {
  await using opening = new AsyncDisposableStack();
  const databaseUrl = givenUrl ? String(givenUrl) : opening.use(await createMigratedDatabase({ partitions })).url;
  const dataDir = await mkdtemp(join(tmpdir(), "tandem-app-"));
  opening.defer(() => rm(dataDir, { recursive: true, force: true }));
  const common = {
    databaseUrl,
    hintsUrl: "off",
    dataDir,
    port: 0,
    issueTokens: true,
    synchronousCommit: "off",
    drainMs: 2_000,
    reconcileIntervalMs: 0,
  };
  const logged: string[] = [];
  const ownLog = log ?? openLog("warn", (line) => logged.push(line));
  const open = (more: ConfigOverrides) => openApp(loadConfig(env, { ...common, ...settings, ...more }), ownLog);
  const app = opening.use(await open({}));
  const resources = opening.move();
  const { db } = app.services;
  const tokens = tokensOf(app);
  const transport = (token: string, options: Partial<TandemTransportOptions> = {}) =>
    resources.use(createTandemTransport({ baseUrl: app.url, token, ...options }));
  // Not a spread: some of an app's properties are getters.
  return Object.assign(Object.create(app) as App, {
    app,
    databaseUrl,
    dataDir,
    logged,
    ...tokens,
    ...clientsOf(tokens, transport),
    addCarrier: (carrierId: string, carrier?: Partial<Carrier>) => addCarrier(db, carrierId, carrier),
    assignNumbers: (carrierId: string, numbers: readonly string[], customerId = "customer-1") =>
      assignNumbers(db, carrierId, numbers, customerId),
    connect: (token?: string, dialect: Dialect = {}) => createPlainTransport(app.url, token, dialect),
    openSecondApp: async (more: ConfigOverrides = {}) => resources.use(await open(more)),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  });
}

function tokensOf({ services, signingKey }: App): Pick<Exchange, "carrierToken" | "platformToken"> {
  const { issuer } = services.config.tokens;
  const issue = (
    request: { identity: string; carrierId?: string; scopes?: readonly PlatformScope[] },
    ttlSeconds: number,
  ) => {
    if (!signingKey) throw new Error("the exchange has no key of its own");
    return signingKey.issueToken({ issuer, audience: "tandem", ttlSeconds, ...request });
  };
  return {
    carrierToken: (carrierId, { identity = carrierId, ttlSeconds = 3_600 } = {}) =>
      issue({ identity, carrierId }, ttlSeconds),
    platformToken: (scopes = PLATFORM_SCOPES, { ttlSeconds = 3_600 } = {}) =>
      issue({ identity: "platform", scopes }, ttlSeconds),
  };
}

type Clients = Pick<Exchange, "carrierTransport" | "platformTransport" | "carrierClient" | "platformClient">;

function clientsOf(
  tokens: Pick<Exchange, "carrierToken" | "platformToken">,
  transport: (token: string, options?: Partial<TandemTransportOptions>) => TandemTransport,
): Clients {
  return {
    carrierTransport: async (carrierId, options) => transport(await tokens.carrierToken(carrierId), options),
    platformTransport: async (options) => transport(await tokens.platformToken(), options),
    carrierClient: async (service, carrierId) => createClient(service, transport(await tokens.carrierToken(carrierId))),
    platformClient: async (service) => createClient(service, transport(await tokens.platformToken())),
  };
}

function createPlainTransport(
  baseUrl: string,
  token: string | undefined,
  { protocol = "grpc", httpVersion = "2" }: Dialect,
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

/** Now, as protobuf timestamps and Tandem's instants count. */
export function nowMicros(): bigint {
  return microsFromMs(Date.now());
}
