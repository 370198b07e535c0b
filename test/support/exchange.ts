import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
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
import { createMigratedDatabase } from "./database.ts";

/** A whole Tandem on a database of its own, with what tests need to talk to it. */
export interface Exchange extends AsyncDisposable {
  readonly app: App;
  readonly databaseUrl: string;
  /** Where its signing key is. */
  readonly dataDir: string;
  /** Onboards a carrier straight in the store. */
  addCarrier(carrierId: string, settings?: Partial<Carrier>): Promise<Carrier>;
  /**
   * Gives a carrier numbers that have been assigned to a customer since long ago, straight in the
   * store.
   */
  assignNumbers(carrierId: string, numbers: readonly string[], customerId?: string): Promise<void>;
  carrierToken(carrierId: string, ttlSeconds?: number): Promise<string>;
  platformToken(scopes?: readonly PlatformScope[]): Promise<string>;
  /** A connection of its own for each call, closed with the exchange. */
  carrierTransport(carrierId: string, options?: Partial<TandemTransportOptions>): Promise<TandemTransport>;
  platformTransport(options?: Partial<TandemTransportOptions>): Promise<TandemTransport>;
  carrierClient<S extends DescService>(service: S, carrierId: string): Promise<Client<S>>;
  platformClient<S extends DescService>(service: S): Promise<Client<S>>;
  /** Starts another Tandem process's worth of app on the same database and key. */
  openSecondApp(overrides?: ConfigOverrides): Promise<App>;
}

/**
 * Starts a Tandem. The settings are those of `loadConfig`, such as `{ heartbeatIntervalMs: 100 }`;
 * it logs nothing, unless a log is given.
 */
export async function startExchange(overrides: ConfigOverrides = {}, log = openLog("silent")): Promise<Exchange> {
  await using opening = new AsyncDisposableStack();
  const database = opening.use(await createMigratedDatabase());
  const dataDir = await mkdtemp(join(tmpdir(), "tandem-app-"));
  opening.defer(() => rm(dataDir, { recursive: true, force: true }));
  const open = (more: ConfigOverrides) =>
    openApp(
      loadConfig(
        {},
        {
          databaseUrl: database.url,
          issueTokens: true,
          dataDir,
          port: 0,
          drainMs: 2_000,
          // Tests of reconciliation ask for it; for all others it would be work on the side.
          reconcileIntervalMs: 0,
          ...overrides,
          ...more,
        },
      ),
      log,
    );
  const app = opening.use(await open({}));
  const resources = opening.move();
  const { tokens } = app.services.config;
  const issue = (request: { carrierId: string } | { scopes: readonly PlatformScope[] }, ttlSeconds: number) => {
    if (!app.signingKey) throw new Error("the exchange has no key of its own");
    return app.signingKey.issueToken({
      issuer: tokens.issuer,
      audience: "tandem",
      identity: "test",
      ttlSeconds,
      ...request,
    });
  };
  const carrierToken = (carrierId: string, ttlSeconds = 3_600) => issue({ carrierId }, ttlSeconds);
  const platformToken = (scopes: readonly PlatformScope[] = PLATFORM_SCOPES) => issue({ scopes }, 3_600);
  const transport = (token: string, options: Partial<TandemTransportOptions>) => {
    const made = createTandemTransport({ baseUrl: app.url, token, ...options });
    resources.use(made);
    return made;
  };
  const carrierTransport = async (carrierId: string, options: Partial<TandemTransportOptions> = {}) =>
    transport(await carrierToken(carrierId), options);
  const platformTransport = async (options: Partial<TandemTransportOptions> = {}) =>
    transport(await platformToken(), options);
  return {
    app,
    databaseUrl: database.url,
    dataDir,
    addCarrier: (carrierId, settings) => addCarrier(app.services.db, carrierId, settings),
    assignNumbers: (carrierId, numbers, customerId = "customer-1") =>
      assignNumbers(app.services.db, carrierId, numbers, customerId),
    carrierToken,
    platformToken,
    carrierTransport,
    platformTransport,
    carrierClient: async (service, carrierId) => createClient(service, await carrierTransport(carrierId)),
    platformClient: async (service) => createClient(service, await platformTransport()),
    openSecondApp: async (more = {}) => {
      const second = await open(more);
      resources.use(second);
      return second;
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Now, as protobuf timestamps and Tandem's instants count. */
export function nowMicros(): bigint {
  return microsFromMs(Date.now());
}
