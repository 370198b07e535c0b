import type { Logger } from "pino";
import type { Limits } from "../domain/limits.ts";
import type { FeedHub } from "../feed/hub.ts";
import type { Database } from "../store/database.ts";
import type { Installation } from "../store/installation.ts";
import type { UploadEngine } from "../upload/engine.ts";
import type { CarrierAccess } from "./carrier-access.ts";
import type { Metrics } from "./metrics.ts";
import type { StreamSlots } from "./stream-life.ts";

/** The settings that methods need. */
export interface ServiceConfig {
  readonly limits: Limits;
  /** The region that this process serves; undefined: every carrier's. */
  readonly region: string | undefined;
  /** Host part of SIP URIs of carriers that have no domain of their own. */
  readonly sipDomain: string;
  /** What an acknowledgement promises. */
  readonly synchronousCommit: "on" | "off" | "remote_apply";
  /** Whose tokens are believed: the issuer that a JwtIdentity may name. */
  readonly tokens: { readonly issuer: string };
}

/** What every service is made of: `export function numberService(services: Services): ServiceImpl<typeof NumberService>`. */
export interface Services {
  readonly db: Database;
  readonly hub: FeedHub;
  readonly uploads: UploadEngine;
  readonly config: ServiceConfig;
  readonly installation: Installation;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Who is served; `forget()` after a change to a carrier, so that this process sees it at once. */
  readonly access: CarrierAccess;
  readonly slots: StreamSlots;
  /** Aborts when the process begins to shut down. `openStreamLife` watches it for a stream. */
  readonly drain: AbortSignal;
}
