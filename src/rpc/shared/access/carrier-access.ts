import type { Principal } from "../../../domain/carriers/principal.ts";
import { TandemError } from "../../../domain/errors.ts";
import { Expiries } from "../../../domain/expiries.ts";
import type { StreamEnd } from "../../../domain/stream-life.ts";
import {
  type CarrierAccessRow,
  type CredentialRow,
  findCredentials,
  readCarrierAccess,
} from "../../../store/carriers/carrier-access.ts";
import { Believed } from "../../../store/database/believed.ts";
import { asOwn } from "../../../store/database/callers.ts";
import { type Database, systemTransaction } from "../../../store/database/database.ts";
import { every } from "../../../store/database/every.ts";
import { Gathered } from "../../../store/database/gathered.ts";
import type { Tx } from "../../../store/database/run.ts";
import { regionMismatch } from "../residency.ts";

/** Most keys of one query. */
const MAX_KEYS = 1_000;

export interface CarrierAccessOptions {
  readonly db: Database;
  /** The region of this process; undefined: every carrier is served. */
  readonly region: string | undefined;
  /**
   * How long a look-up is believed, and how often live streams are checked, milliseconds. At most
   * 2,000.
   */
  readonly cacheMs: number;
  /** Told what was read of the carriers that have live streams, and when, by performance.now(). */
  readonly onCarriers?: (carriers: Iterable<CarrierAccessRow>, seenAt: number) => void;
  readonly onError?: (error: unknown) => void;
}

/**
 * Knows which carriers are served here and which carrier an identity belongs to. The platform may
 * change both through another process, so nothing is believed for longer than `cacheMs`; while
 * streams live, one query for all of them runs as often, so that they end within 5 s.
 */
export class CarrierAccess implements AsyncDisposable {
  readonly #options: CarrierAccessOptions;
  readonly #carriers: Believed<CarrierAccessRow | undefined>;
  readonly #credentials: Believed<CredentialRow | undefined>;
  readonly #carrierLookups: Gathered<string, CarrierAccessRow | undefined>;
  readonly #credentialLookups: Gathered<string, CredentialRow | undefined>;
  readonly #watchers = new Set<Watcher>();
  /** Watchers that have not been judged yet. */
  readonly #newcomers = new Set<Watcher>();
  readonly #expiries = new Expiries();
  readonly #stop = new AbortController();
  #watching: Promise<void> | undefined;
  #welcoming: Promise<void> | undefined;

  constructor(options: CarrierAccessOptions) {
    this.#options = options;
    this.#carriers = new Believed(options.cacheMs);
    this.#credentials = new Believed(options.cacheMs);
    this.#carrierLookups = lookups(options.db, readCarriers);
    this.#credentialLookups = lookups(options.db, readCredentials);
  }

  /** The carriers of these identities; one that is nobody's, or no longer accepted, is left out. */
  async findOwners(identities: readonly string[]): Promise<CredentialRow[]> {
    const found = await Promise.all(identities.map((identity) => this.#findCredential(identity)));
    return found.flatMap((credential) => (credential && this.#withEnd(credential)) ?? []);
  }

  /**
   * Whether one of these identities is or ever was a carrier's: then none of them is the
   * platform's.
   */
  async isEverCarriers(identities: readonly string[]): Promise<boolean> {
    const found = await Promise.all(identities.map((identity) => this.#findCredential(identity)));
    return found.some((credential) => credential !== undefined);
  }

  /**
   * Refuses a carrier that is not served here.
   * @throws TandemError UNAUTHENTICATED (no such carrier), REGION_MISMATCH, CARRIER_SUSPENDED
   *   (unless `evenSuspended`).
   */
  async assertServed(carrierId: string, evenSuspended: boolean): Promise<void> {
    const carrier = await this.#findCarrier(carrierId);
    if (!carrier) throw new TandemError("UNAUTHENTICATED", "the credential names a carrier that does not exist here");
    if (this.#isElsewhere(carrier)) throw regionMismatch(carrier.region);
    if (carrier.suspended && !evenSuspended) {
      throw new TandemError("CARRIER_SUSPENDED", "the platform has suspended this carrier");
    }
  }

  /**
   * Calls `end`, once, when a live stream's carrier is suspended, or when what its credential shows
   * is no longer its principal's. The store is asked at once, past everything that is remembered,
   * and then as often as for all streams. Dispose it when the stream ends.
   * @param identities every name that its credentials show.
   */
  watch(principal: Principal, end: (why: StreamEnd) => void, identities: readonly string[]): Disposable {
    const isRegistered = principal.kind === "carrier" && principal.standing === "registered";
    const watcher: Watcher = { principal, identities, end, isRegistered };
    this.#watchers.add(watcher);
    this.#newcomers.add(watcher);
    this.#welcoming ??= asOwn("access", () => this.#welcome());
    this.#watching ??= asOwn("access", () => this.#watch());
    return { [Symbol.dispose]: () => this.#forgetWatcher(watcher) };
  }

  /** Forgets everything, so that a change made by this process is seen at once. */
  forget(): void {
    this.#carriers.forget();
    this.#credentials.forget();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#watching, this.#welcoming]);
  }

  #findCarrier(carrierId: string): Promise<CarrierAccessRow | undefined> {
    return this.#carriers.get(carrierId, () => this.#carrierLookups.add("", carrierId));
  }

  #findCredential(identity: string): Promise<CredentialRow | undefined> {
    return this.#credentials.get(identity, () => this.#credentialLookups.add("", identity));
  }

  // Rests while nobody watches. An unreachable database ends no stream: it is asked again at the
  // next turn.
  async #watch(): Promise<void> {
    const { signal } = this.#stop;
    const intervalMs = Math.max(10, this.#options.cacheMs);
    const onError = (error: unknown) => this.#options.onError?.(error);
    const turns = { intervalMs, firstMs: intervalMs, signal, onError, isOver: () => this.#watchers.size === 0 };
    await every(turns, () => this.#check([...this.#watchers]));
    this.#watching = undefined;
    if (!signal.aborted && this.#watchers.size > 0) this.#watching = this.#watch();
  }

  // One query for all that have come since the last. If it fails, the next turn of the watch judges
  // them with all others.
  async #welcome(): Promise<void> {
    while (this.#newcomers.size > 0 && !this.#stop.signal.aborted) {
      const newcomers = [...this.#newcomers];
      this.#newcomers.clear();
      await this.#check(newcomers).catch((error) => this.#options.onError?.(error));
    }
    this.#welcoming = undefined;
  }

  async #check(watchers: readonly Watcher[]): Promise<void> {
    const carrierIds = new Set(watchers.flatMap(({ principal }) => carrierIdOf(principal) ?? []));
    const identities = new Set(watchers.flatMap((watcher) => watcher.identities));
    const seenAt = performance.now();
    const [carriers, credentials] = await systemTransaction(this.#options.db, async (tx) => [
      await readCarriers(tx, carrierIds),
      await readCredentials(tx, identities),
    ]);
    this.#options.onCarriers?.(carriers.values(), seenAt);
    for (const watcher of watchers) {
      const shown = watcher.identities.flatMap((identity) => credentials.get(identity) ?? []);
      const accepted = shown.filter((row) => this.#withEnd(row) !== undefined);
      const { principal } = watcher;
      const why = principal.kind === "carrier" && this.#whyNotServed(carriers.get(principal.carrierId));
      if (why) this.#end(watcher, why);
      else if (!showsPrincipal(watcher, shown, accepted)) this.#end(watcher, "CREDENTIAL_EXPIRING");
    }
  }

  #whyNotServed(carrier: CarrierAccessRow | undefined): StreamEnd | undefined {
    if (carrier?.suspended !== false) return "SUSPENDED";
    // The client calls again, and then learns which region it has to go to.
    return this.#isElsewhere(carrier) ? "DRAINING" : undefined;
  }

  /** With its end by the current time of day; undefined: it is over. */
  #withEnd(credential: CredentialRow): CredentialRow | undefined {
    const { identity, expireTime } = credential;
    const end = this.#expiries.endOf(`${expireTime} ${identity}`, expireTime);
    return end === undefined ? undefined : { ...credential, expireTime: end };
  }

  #isElsewhere({ region }: CarrierAccessRow): boolean {
    return this.#options.region !== undefined && region !== this.#options.region;
  }

  #end(watcher: Watcher, why: StreamEnd): void {
    if (this.#watchers.has(watcher)) watcher.end(why);
    this.#forgetWatcher(watcher);
  }

  #forgetWatcher(watcher: Watcher): void {
    this.#watchers.delete(watcher);
    this.#newcomers.delete(watcher);
  }
}

type Read<Row> = (tx: Tx, keys: Iterable<string>) => Promise<ReadonlyMap<string, Row>>;

const readCarriers: Read<CarrierAccessRow> = async (tx, carrierIds) =>
  new Map((await readCarrierAccess(tx, [...carrierIds])).map((row) => [row.carrierId, row]));

const readCredentials: Read<CredentialRow> = async (tx, identities) =>
  new Map((await findCredentials(tx, [...identities])).map((row) => [row.identity, row]));

// On a connection of its own, since nobody has a share before it is known who calls.
function lookups<Row>(db: Database, read: Read<Row>): Gathered<string, Row | undefined> {
  const find = async (keys: readonly string[]) => {
    const rows = await systemTransaction(db, (tx) => read(tx, new Set(keys)));
    return keys.map((key) => rows.get(key));
  };
  return new Gathered(
    (keys) => asOwn("access", () => find(keys)),
    () => MAX_KEYS,
  );
}

function carrierIdOf(principal: Principal): string | undefined {
  return principal.kind === "carrier" ? principal.carrierId : undefined;
}

/**
 * Whether a stream's credential still shows its principal: no name of it may be another carrier's,
 * one that was registered has to be so still, and one of the platform is no carrier's, whether it
 * has expired there or not.
 */
function showsPrincipal(
  watcher: Watcher,
  shown: readonly CredentialRow[],
  accepted: readonly CredentialRow[],
): boolean {
  const { principal } = watcher;
  if (principal.kind === "platform") return shown.length === 0;
  if (accepted.some(({ carrierId }) => carrierId !== principal.carrierId)) return false;
  const isOwn = ({ identity }: CredentialRow) => identity === principal.identity;
  if (shown.some(isOwn)) watcher.isRegistered = true;
  return !watcher.isRegistered || accepted.some(isOwn);
}

interface Watcher {
  readonly principal: Principal;
  readonly identities: readonly string[];
  readonly end: (why: StreamEnd) => void;
  /**
   * Whether the identity was registered with the carrier at any query: one that only claimed it may
   * be registered by now.
   */
  isRegistered: boolean;
}
