import { type Database, onCommit, systemTransaction } from "../database/database.ts";
import {
  confirmLeases,
  dropLeasesOver,
  type JobLease,
  listHeld,
  releaseLease,
  takeLease,
} from "../database/job-lease.ts";
import { readValue, type Tx, together } from "../database/run.ts";

// Several workers may take turns of one carrier, each in a part of its time: zones of five days.
// One of them has the lease of RECONCILE_JOB too, and does alone what concerns the whole carrier.

/** Its holder marks what is new, settles the carrier and keeps its sums. */
export const RECONCILE_JOB = "reconcile";
const ZONE_JOB = `${RECONCILE_JOB}/`;
/** Begins the holder's name of RECONCILE_JOB when nobody may reconcile. */
const ALONE = "alone ";
/** Longer than any turn. */
export const TURN_LEASE_S = 60;

/** Another worker has a part of the time that a turn needs. */
export class ZoneTaken extends Error {
  override readonly name = "ZoneTaken";
}

/** The zones that a worker has of a carrier, and the lease of RECONCILE_JOB if it has that. */
export class TurnLeases {
  readonly carrierId: string;
  readonly #holder: string;
  readonly #lead: JobLease | undefined;
  #zones: ReadonlyMap<number, JobLease> = new Map();

  constructor(carrierId: string, holder: string, lead: JobLease | undefined) {
    this.carrierId = carrierId;
    this.#holder = holder;
    this.#lead = lead;
  }

  get isLead(): boolean {
    return this.#lead !== undefined;
  }

  /**
   * Confirms all leases in a write transaction, and tells whether the worker may work: not while
   * another process keeps reconciliation to itself. Throws LeaseLost.
   */
  async confirm(tx: Tx): Promise<boolean> {
    const leases = [...(this.#lead ? [this.#lead] : []), ...this.#zones.values()];
    const [, isAlone] = await together([
      confirmLeases(tx, leases, TURN_LEASE_S),
      this.#lead ? Promise.resolve(false) : isKeptAlone(tx, this.carrierId),
    ]);
    return !isAlone;
  }

  /** The zones of other workers. */
  async readOthers(tx: Tx): Promise<number[]> {
    const held = await listHeld(tx, { carrierId: this.carrierId, jobs: ZONE_JOB, except: this.#holder });
    return held.map((job) => Number(job.slice(ZONE_JOB.length)));
  }

  has(zones: readonly number[]): boolean {
    return zones.every((zone) => this.#zones.has(zone));
  }

  /** Takes these zones for the turns to come, and gives the others back. Throws ZoneTaken. */
  async moveTo(tx: Tx, zones: readonly number[]): Promise<void> {
    const others = [...this.#zones].filter(([zone]) => !zones.includes(zone));
    const kept = [...this.#zones].filter(([zone]) => zones.includes(zone));
    await together(others.map(([, lease]) => releaseLease(tx, lease)));
    const taken = await this.#take(tx, zones);
    onCommit(tx, () => {
      this.#zones = new Map([...kept, ...taken]);
    });
  }

  /** Takes zones that a turn has come to need, for as long as the others. Throws ZoneTaken. */
  async addTo(tx: Tx, zones: readonly number[]): Promise<void> {
    if (this.has(zones)) return;
    const taken = await this.#take(tx, zones);
    onCommit(tx, () => {
      this.#zones = new Map([...this.#zones, ...taken]);
    });
  }

  async #take(tx: Tx, zones: readonly number[]): Promise<[number, JobLease][]> {
    const missing = zones.filter((zone) => !this.#zones.has(zone));
    const [carrierId, holder, ttlS] = [this.carrierId, this.#holder, TURN_LEASE_S];
    const leases = await together(
      missing.map((zone) => takeLease(tx, { carrierId, job: `${ZONE_JOB}${zone}`, holder, ttlS })),
    );
    return missing.map((zone, index) => {
      const lease = leases[index];
      if (lease === undefined) throw new ZoneTaken(`zone ${zone} is another worker's`);
      return [zone, lease];
    });
  }

  /** Gives its zones back. */
  async release(db: Database): Promise<void> {
    const leases = [...this.#zones.values()];
    this.#zones = new Map();
    if (leases.length > 0)
      await systemTransaction(db, (tx) => together(leases.map((lease) => releaseLease(tx, lease))));
  }
}

/** The holder's name with which RECONCILE_JOB is taken to keep all workers away. */
export function aloneHolder(holder: string): string {
  return ALONE + holder;
}

/** Whether no worker is in a turn any more, once RECONCILE_JOB is held by `aloneHolder`. */
export async function areTurnsOver(tx: Tx, carrierId: string): Promise<boolean> {
  // Waits for a turn that outlived its lease.
  await dropLeasesOver(tx, { carrierId, jobs: ZONE_JOB });
  return (await listHeld(tx, { carrierId, jobs: ZONE_JOB, except: "" })).length === 0;
}

function isKeptAlone(tx: Tx, carrierId: string): Promise<boolean> {
  return readValue(tx)<boolean>`
    SELECT EXISTS (SELECT 1 FROM job_lease WHERE carrier_id = ${carrierId} AND job = ${RECONCILE_JOB} AND holder LIKE ${`${ALONE}%`}
      AND until_time > clock_timestamp())`;
}
