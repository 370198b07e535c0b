import { setTimeout as wait } from "node:timers/promises";
import { TandemError } from "../domain/errors.ts";
import { microsFromMs } from "../domain/instant.ts";
import type { CarrierPrincipal } from "../domain/principal.ts";
import type { StreamEnd } from "../domain/stream-life.ts";
import { asOwn } from "../store/callers.ts";
import {
  type CarrierAccessRow,
  type CredentialRow,
  findCredentials,
  readCarrierAccess,
} from "../store/carrier-access.ts";
import { type Database, systemTransaction } from "../store/database.ts";
import { GatheredLookups } from "./gathered-lookups.ts";
import { regionMismatch } from "./residency.ts";

/** Most carriers, and most identities, that are remembered; beyond it all are forgotten. */
const MAX_REMEMBERED = 10_000;

export interface CarrierAccessOptions {
  readonly db: Database;
  /** The region of this process; undefined: every carrier is served. */
  readonly region: string | undefined;
  /** How long a look-up is believed, and how often live streams are checked, milliseconds. At most 2,000. */
  readonly cacheMs: number;
  readonly onError?: (error: unknown) => void;
}

/**
 * Knows which carriers are served here and whose an identity is. The platform may change both through another process, so nothing is believed
 * for longer than `cacheMs`; while streams live, one query for all of them is run as often, so that they end within 5 s.
 */
export class CarrierAccess implements AsyncDisposable {
  readonly #options: CarrierAccessOptions;
  readonly #carriers = new Map<string, Remembered<CarrierAccessRow | undefined>>();
  readonly #credentials = new Map<string, Remembered<CredentialRow | undefined>>();
  readonly #carrierLookups: GatheredLookups<CarrierAccessRow>;
  readonly #credentialLookups: GatheredLookups<CredentialRow>;
  readonly #watchers = new Set<Watcher>();
  readonly #stop = new AbortController();
  #watching: Promise<void> | undefined;

  constructor(options: CarrierAccessOptions) {
    this.#options = options;
    // On a connection of its own, since nobody has a share before it is known who calls.
    this.#carrierLookups = new GatheredLookups((carrierIds) =>
      asOwn("access", async () => {
        const rows = await systemTransaction(options.db, (tx) => readCarrierAccess(tx, carrierIds));
        return rows.map((row) => [row.carrierId, row] as const);
      }),
    );
    this.#credentialLookups = new GatheredLookups((identities) =>
      asOwn("access", async () => {
        const rows = await systemTransaction(options.db, (tx) => findCredentials(tx, identities));
        return rows.map((row) => [row.identity, row] as const);
      }),
    );
  }

  /** Whose these identities are; an identity that is nobody's, or no longer accepted, is left out. */
  async findOwners(identities: readonly string[]): Promise<CredentialRow[]> {
    const found = await Promise.all(identities.map((identity) => this.#findCredential(identity)));
    const now = microsFromMs(Date.now());
    return found.filter((credential) => credential !== undefined).filter((credential) => credential.expireTime > now);
  }

  /**
   * Refuses a carrier that is not served here.
   * @throws TandemError UNAUTHENTICATED (no such carrier), REGION_MISMATCH, CARRIER_SUSPENDED (unless `evenSuspended`).
   */
  async assertServed(carrierId: string, evenSuspended: boolean): Promise<void> {
    const carrier = await this.#findCarrier(carrierId);
    if (!carrier) throw new TandemError("UNAUTHENTICATED", "the credential's carrier does not exist here");
    if (this.#isElsewhere(carrier)) throw regionMismatch(carrier.region);
    if (carrier.suspended && !evenSuspended) {
      throw new TandemError("CARRIER_SUSPENDED", "the platform has suspended this carrier");
    }
  }

  /** Calls `end`, once, when a live stream's carrier is suspended or its identity is no longer accepted. Dispose it when the stream ends. */
  watch(principal: CarrierPrincipal, end: (why: StreamEnd) => void): Disposable {
    const watcher: Watcher = {
      principal,
      end,
      isRegistered: this.#credentials.get(principal.identity)?.latest !== undefined,
    };
    this.#watchers.add(watcher);
    this.#watching ??= asOwn("access", () => this.#watch());
    return { [Symbol.dispose]: () => void this.#watchers.delete(watcher) };
  }

  /** Forgets everything, so that a change made by this process is seen at once. */
  forget(): void {
    this.#carriers.clear();
    this.#credentials.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#watching;
  }

  #findCarrier(carrierId: string): Promise<CarrierAccessRow | undefined> {
    return remember(this.#carriers, carrierId, this.#options.cacheMs, () => this.#carrierLookups.find(carrierId));
  }

  #findCredential(identity: string): Promise<CredentialRow | undefined> {
    return remember(this.#credentials, identity, this.#options.cacheMs, () => this.#credentialLookups.find(identity));
  }

  // Rests while nobody watches. A database that is away ends no stream: it is asked again at the next turn.
  async #watch(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted && this.#watchers.size > 0) {
      await wait(Math.max(10, this.#options.cacheMs), undefined, { signal }).catch(() => {});
      if (signal.aborted) break;
      await this.#check().catch((error) => this.#options.onError?.(error));
    }
    this.#watching = undefined;
    if (!signal.aborted && this.#watchers.size > 0) this.#watching = this.#watch();
  }

  async #check(): Promise<void> {
    const watchers = [...this.#watchers];
    const carrierIds = [...new Set(watchers.map((watcher) => watcher.principal.carrierId))];
    const identities = [...new Set(watchers.map((watcher) => watcher.principal.identity))];
    const [carriers, credentials] = await systemTransaction(this.#options.db, async (tx) => [
      new Map((await readCarrierAccess(tx, carrierIds)).map((row) => [row.carrierId, row])),
      new Map((await findCredentials(tx, identities)).map((row) => [row.identity, row])),
    ]);
    const now = microsFromMs(Date.now());
    for (const watcher of watchers) {
      const { principal } = watcher;
      const credential = credentials.get(principal.identity);
      const isAccepted = credential?.carrierId === principal.carrierId && credential.expireTime > now;
      const carrier = carriers.get(principal.carrierId);
      if (carrier?.suspended !== false) this.#end(watcher, "SUSPENDED");
      // The client calls again, and is told which region it has to go to.
      else if (this.#isElsewhere(carrier)) this.#end(watcher, "DRAINING");
      else if (watcher.isRegistered && !isAccepted) this.#end(watcher, "CREDENTIAL_EXPIRING");
    }
  }

  #isElsewhere({ region }: CarrierAccessRow): boolean {
    return this.#options.region !== undefined && region !== this.#options.region;
  }

  #end(watcher: Watcher, why: StreamEnd): void {
    if (this.#watchers.delete(watcher)) watcher.end(why);
  }
}

interface Watcher {
  readonly principal: CarrierPrincipal;
  readonly end: (why: StreamEnd) => void;
  /** Whether the identity was a registered one when the stream began: a token of the own key need not be. */
  readonly isRegistered: boolean;
}

interface Remembered<T> {
  readonly value: Promise<T>;
  readonly untilMs: number;
  latest?: T;
}

/** Looks up once for all who ask within the time; a look-up that fails is not remembered. */
function remember<T>(
  memory: Map<string, Remembered<T>>,
  key: string,
  cacheMs: number,
  find: () => Promise<T>,
): Promise<T> {
  const known = memory.get(key);
  if (known && known.untilMs > Date.now()) return known.value;
  if (memory.size >= MAX_REMEMBERED) memory.clear();
  const entry: Remembered<T> = { value: find(), untilMs: Date.now() + cacheMs };
  memory.set(key, entry);
  entry.value.then(
    (value) => {
      entry.latest = value;
    },
    () => {
      if (memory.get(key) === entry) memory.delete(key);
    },
  );
  return entry.value;
}
