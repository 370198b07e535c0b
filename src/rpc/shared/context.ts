import type { DescService } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { Tracer } from "@opentelemetry/api";
import type { Logger } from "pino";
import type { Horizons } from "../../domain/calls/call-rules.ts";
import { type Carrier, isCarrierId } from "../../domain/carriers/carrier.ts";
import type { PlatformScope } from "../../domain/carriers/scopes.ts";
import { TandemError } from "../../domain/errors.ts";
import type { Limits } from "../../domain/limits.ts";
import { keptHorizons } from "../../domain/privacy/retention.ts";
import type { Seals } from "../../domain/seals.ts";
import type { ErasureJournal } from "../../erasure/journal.ts";
import type { ErasuresInForce } from "../../erasure/late-records.ts";
import type { BlockWrites } from "../../feed/block-writes.ts";
import type { FeedHub } from "../../feed/hub.ts";
import type { SharedPages } from "../../feed/shared-pages.ts";
import type { Places } from "../../port/places.ts";
import type { CarrierDirectory } from "../../store/carriers/carriers.ts";
import type { Database } from "../../store/database/database.ts";
import type { Installation } from "../../store/database/installation.ts";
import type { RetentionDirectory } from "../../store/privacy/retention-policies.ts";
import type { Uploads } from "../../upload/uploads.ts";
import type { CarrierAccess } from "./access/carrier-access.ts";
import type { RefusalLog } from "./audit/refusal-log.ts";
import type { Metrics } from "./metrics.ts";
import { assertServedRegion } from "./residency.ts";

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
  readonly tokens: { readonly issuer: string; readonly keys: { readonly kind: string } };
  /** What no carrier may be given, by the text of an identity. */
  readonly platformIdentities: ReadonlyMap<string, ReadonlySet<PlatformScope>>;
}

/** The methods of a service, each of which is given what services are made of. */
export type Methods<S extends DescService> = {
  readonly [Name in keyof ServiceImpl<S>]: ServiceImpl<S>[Name] extends (...call: infer Call) => infer Answer
    ? (services: Services, ...call: Call) => Answer
    : never;
};

/** What every service is made of. */
export interface Services {
  readonly db: Database;
  readonly hub: FeedHub;
  /** The newest pages of feeds, shared by the streams of a carrier. */
  readonly feedPages: SharedPages<unknown>;
  /** Commits what feed streams disclose, of many at once. */
  readonly blockWrites: BlockWrites;
  readonly uploads: Uploads;
  /** Every carrier's settings, believed for a moment; `forget()` after a change. */
  readonly carriers: CarrierDirectory;
  /** How long each carrier's parts are kept, believed for a moment; `forget()` after a change. */
  readonly retention: RetentionDirectory;
  readonly config: ServiceConfig;
  readonly installation: Installation;
  /** Seals cursors and page tokens, and opens them. */
  readonly seals: Seals;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Undefined: nothing is traced. */
  readonly tracer: Tracer | undefined;
  /**
   * Who is served; `forget()` after a change to a carrier, so that this process sees it at once.
   */
  readonly access: CarrierAccess;
  /** The streams that each carrier has, by method. One for each process. */
  readonly slots: Places;
  /** Tells the audit log of acts that were refused. */
  readonly refusals: RefusalLog;
  /** What is to be erased, journalled outside the database; and to be told of a new one. */
  readonly erasures: { readonly journal: ErasureJournal; readonly inForce: ErasuresInForce; wake(): void };
  /**
   * To be told after a commit that changed a carrier's numbers: calls that wait for one are judged
   * again.
   */
  readonly onNumbersChanged: (carrierId: string) => void;
  /** Aborts when the process begins to shut down. `openStreamLife` watches it for a stream. */
  readonly drain: AbortSignal;
}

/** The settings of a carrier that is served here. Throws CARRIER_NOT_FOUND, REGION_MISMATCH. */
export async function requireCarrier(
  services: Pick<Services, "carriers" | "config">,
  carrierId: string,
): Promise<Carrier> {
  const carrier = isCarrierId(carrierId) ? await services.carriers.get(carrierId) : undefined;
  if (!carrier)
    throw new TandemError("CARRIER_NOT_FOUND", "no carrier with this id", { carrier_id: carrierId.slice(0, 64) });
  assertServedRegion(services, carrier);
  return carrier;
}

/** How old a carrier's records may be on arrival. Throws CARRIER_NOT_FOUND. */
export async function horizonsOf(
  services: Pick<Services, "carriers" | "retention" | "config">,
  carrierId: string,
): Promise<Horizons> {
  const carrier = await requireCarrier(services, carrierId);
  return keptHorizons(carrier.horizons, await services.retention.get(carrier));
}
