import { setTimeout as wait } from "node:timers/promises";
import { TandemError } from "../domain/errors.ts";
import { Expiries } from "../domain/expiries.ts";
import type { CarrierPrincipal } from "../domain/principal.ts";
import type { StreamEnd } from "../domain/stream-life.ts";
import {
  type CarrierAccessRow,
  type CredentialRow,
  findCredentials,
  readCarrierAccess,
} from "../store/carrier-access.ts";
import { type Database, systemTransaction } from "../store/database.ts";
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
  readonly #watchers = new Set<Watcher>();
  readonly #expiries = new Expiries();
  readonly #stop = new AbortController();
  #watching: Promise<void> | undefined;

  constructor(options: CarrierAccessOptions) {
    this.#options = options;
  }

  /** Whose these identities are; an identity that is nobody's, or no longer accepted, is left out. */
  async findOwners(identities: readonly string[]): Promise<CredentialRow[]> {
    const found = await Promise.all(identities.map((identity) => this.#findCredential(identity)));
    return found.flatMap((credential) => (credential && this.#withEnd(credential)) ?? []);
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
    this.#watching ??= this.#watch();
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
    return remember(this.#carriers, carrierId, this.#options.cacheMs, async () => {
      const [row] = await systemTransaction(this.#options.db, (tx) => readCarrierAccess(tx, [carrierId]));
      return row;
    });
  }

  #findCredential(identity: string): Promise<CredentialRow | undefined> {
    return remember(this.#credentials, identity, this.#options.cacheMs, async () => {
      const [row] = await systemTransaction(this.#options.db, (tx) => findCredentials(tx, [identity]));
      return row;
    });
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
    for (const watcher of watchers) {
      const { principal } = watcher;
      const credential = credentials.get(principal.identity);
      const isAccepted = credential?.carrierId === principal.carrierId && this.#withEnd(credential) !== undefined;
      const carrier = carriers.get(principal.carrierId);
      if (carrier?.suspended !== false) this.#end(watcher, "SUSPENDED");
      // The client calls again, and is told which region it has to go to.
      else if (this.#isElsewhere(carrier)) this.#end(watcher, "DRAINING");
      else if (watcher.isRegistered && !isAccepted) this.#end(watcher, "CREDENTIAL_EXPIRING");
    }
  }

  /** With its end by the time of day as it is now; undefined: it is over. */
  #withEnd(credential: CredentialRow): CredentialRow | undefined {
    const { identity, expireTime } = credential;
    const end = this.#expiries.endOf(`${expireTime} ${identity}`, expireTime);
    return end === undefined ? undefined : { ...credential, expireTime: end };
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
  if (known && known.untilMs > performance.now()) return known.value;
  if (memory.size >= MAX_REMEMBERED) memory.clear();
  const entry: Remembered<T> = { value: find(), untilMs: performance.now() + cacheMs };
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
