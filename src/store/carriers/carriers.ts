import { type RawBuilder, sql } from "kysely";
import type { Carrier, ReportingScope } from "../../domain/carriers/carrier.ts";
import { identityText, parseIdentityText } from "../../domain/carriers/principal.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { createAuditChain } from "../audit/audit-log.ts";
import { Believed } from "../database/believed.ts";
import { carrierTransaction, type Database, systemTransaction } from "../database/database.ts";
import { run, type Tx } from "../database/run.ts";
import { createFeeds } from "../feeds/feed-head.ts";
import { keepIdentities } from "./carrier-identities.ts";

/** Creates a carrier with feeds and audit chain. In a system transaction. False: id taken. */
export async function insertCarrier(tx: Tx, carrier: Carrier): Promise<boolean> {
  const insert = tx
    .insertInto("carrier")
    .values({ carrier_id: carrier.carrierId, ...columnsOf(carrier), create_time: isoFromMicros(carrier.createTime) })
    .onConflict((conflict) => conflict.doNothing())
    .returning("carrier_id");
  const {
    rows: [inserted],
  } = await run(tx, insert);
  if (!inserted) return false;
  await createFeeds(tx, carrier.carrierId);
  await createAuditChain(tx, carrier.carrierId);
  return true;
}

/** Writes a carrier over its previous revision. In a system transaction. False: not the newest. */
export async function updateCarrier(tx: Tx, carrier: Carrier): Promise<boolean> {
  const update = tx
    .updateTable("carrier")
    .set(columnsOf(carrier))
    .where("carrier_id", "=", carrier.carrierId)
    .where("revision", "=", carrier.revision - 1n);
  const { count } = await run(tx, update);
  return count === 1;
}

export async function readCarrier(tx: Tx, carrierId: string): Promise<Carrier | undefined> {
  const {
    rows: [row],
  } = await run(tx, tx.selectFrom("carrier").selectAll().where("carrier_id", "=", carrierId));
  return row && carrierOfRow(row);
}

/** The condition that a carrier is of a region; undefined: of any. */
export function isOfRegion(carrierId: RawBuilder<unknown>, region: string | undefined): RawBuilder<boolean> {
  if (region === undefined) return sql<boolean>`true`;
  return sql<boolean>`EXISTS (SELECT FROM carrier of_region WHERE of_region.carrier_id = ${carrierId} AND of_region.region = ${region})`;
}

export interface CarrierConditions {
  suspended?: boolean | undefined;
  legalCountry?: string | undefined;
  region?: string | undefined;
}

export async function listCarriers(
  tx: Tx,
  conditions: CarrierConditions,
  page: { afterCarrierId: string; limit: number },
): Promise<Carrier[]> {
  let query = tx.selectFrom("carrier").selectAll().where(sql<string>`carrier_id COLLATE "C"`, ">", page.afterCarrierId);
  if (conditions.suspended !== undefined) query = query.where("suspended", "=", conditions.suspended);
  if (conditions.legalCountry !== undefined) query = query.where("legal_country", "=", conditions.legalCountry);
  if (conditions.region !== undefined) query = query.where("region", "=", conditions.region);
  const { rows } = await run(tx, query.orderBy(sql`carrier_id COLLATE "C"`).limit(page.limit));
  return rows.map(carrierOfRow);
}

/** All such carriers by id, after one, some at a time. */
export async function* eachCarrier(
  db: Database,
  conditions: CarrierConditions = {},
  afterCarrierId = "",
): AsyncGenerator<Carrier> {
  for (const page = { afterCarrierId, limit: 100 }; ; ) {
    const carriers = await systemTransaction(db, (tx) => listCarriers(tx, conditions, page));
    yield* carriers;
    const last = carriers.at(-1);
    if (!last || carriers.length < page.limit) return;
    page.afterCarrierId = last.carrierId;
  }
}

/** The legal countries that carriers are of; empty conditions: all. In a system transaction. */
export async function listLegalCountries(tx: Tx, of: { countryCode: string; carrierId: string }): Promise<string[]> {
  let query = tx.selectFrom("carrier").select("legal_country").distinct();
  if (of.countryCode !== "") query = query.where("legal_country", "=", of.countryCode);
  if (of.carrierId !== "") query = query.where("carrier_id", "=", of.carrierId);
  return (await run(tx, query)).rows.map((row) => row.legalCountry);
}

/**
 * Makes these a carrier's credential identities. In a system transaction.
 * @returns an identity that belongs to another carrier, with its owner; do not commit then.
 */
export async function writeCredentials(
  tx: Tx,
  carrier: Carrier,
): Promise<{ identity: string; carrierId: string } | undefined> {
  const { rows: removed } = await run(
    tx,
    tx.deleteFrom("carrier_credential").where("carrier_id", "=", carrier.carrierId).returning("identity"),
  );
  const written = carrier.credentials.map(({ identity }) => identityText(identity));
  // Those removed too: a process of an older version may have registered them.
  const kept = new Set([...removed.map((row) => row.identity), ...written]);
  await keepIdentities(tx, carrier.carrierId, [...kept]);
  if (carrier.credentials.length === 0) return undefined;
  const rows = carrier.credentials.map(({ identity, expireTime }) => ({
    identity: identityText(identity),
    carrier_id: carrier.carrierId,
    expire_time: isoFromMicros(expireTime ?? NO_END),
  }));
  // Sorted, so that two writers of the same identities wait for each other in one order.
  rows.sort((a, b) => (a.identity < b.identity ? -1 : 1));
  const insert = tx
    .insertInto("carrier_credential")
    .values(rows)
    .onConflict((conflict) => conflict.doNothing());
  await run(tx, insert);
  const query = tx
    .selectFrom("carrier_credential")
    .select(["identity", "carrier_id"])
    .where(
      "identity",
      "in",
      rows.map((row) => row.identity),
    )
    .where("carrier_id", "<>", carrier.carrierId);
  const {
    rows: [taken],
  } = await run(tx, query);
  return taken;
}

/** Carriers' settings for ingest and streams: at most two seconds old, read once for all. */
export class CarrierDirectory {
  readonly #db: Database;
  readonly #known = new Believed<Carrier | undefined>();

  constructor(db: Database) {
    this.#db = db;
  }

  /** Undefined: no such carrier. */
  get(carrierId: string): Promise<Carrier | undefined> {
    return this.#known.get(carrierId, () =>
      carrierTransaction(this.#db, carrierId, (tx) => readCarrier(tx, carrierId)),
    );
  }

  /** Forgets a carrier that this process has just changed, or all. */
  forget(carrierId?: string): void {
    this.#known.forget(carrierId);
  }
}

const NO_END: Micros = 253_402_300_799_999_999n;

// What no query looks for, as JSON; bigints in decimal, identities as texts.
type Settings = Pick<
  Carrier,
  "durationToleranceMs" | "graceMs" | "thresholds" | "horizons" | "roundingRule" | "networkIdentifiersAllowed"
> & { reportingScopes: readonly ReportingScope[]; credentials: { identity: string; expireTime?: Micros }[] };
const BIGINTS: ReadonlySet<string> = new Set(["durationToleranceMs", "graceMs", "startTime", "endTime", "expireTime"]);

function columnsOf(carrier: Carrier) {
  const settings: Settings = {
    reportingScopes: carrier.reportingScopes,
    durationToleranceMs: carrier.durationToleranceMs,
    graceMs: carrier.graceMs,
    thresholds: carrier.thresholds,
    horizons: carrier.horizons,
    ...(carrier.roundingRule && { roundingRule: carrier.roundingRule }),
    networkIdentifiersAllowed: carrier.networkIdentifiersAllowed,
    credentials: carrier.credentials.map(({ identity, ...rest }) => ({ ...rest, identity: identityText(identity) })),
  };
  return {
    revision: carrier.revision,
    display_name: carrier.displayName,
    legal_country: carrier.legalCountry,
    time_zone: carrier.timeZone,
    region: carrier.region,
    sip_domain: carrier.sipDomain ?? null,
    suspended: carrier.suspended,
    settings: JSON.stringify(settings, (_, value) => (typeof value === "bigint" ? String(value) : value)),
    update_time: isoFromMicros(carrier.updateTime),
  };
}

type CarrierRow = Omit<Carrier, keyof Settings | "sipDomain"> & { sipDomain: string | undefined; settings: unknown };

function carrierOfRow({ settings, sipDomain, ...row }: CarrierRow): Carrier {
  const { credentials, ...agreed }: Settings = JSON.parse(JSON.stringify(settings), (key, value) =>
    BIGINTS.has(key) ? BigInt(value) : value,
  );
  return {
    ...row,
    ...(sipDomain === undefined ? {} : { sipDomain }),
    ...agreed,
    credentials: credentials.flatMap(({ identity: text, ...rest }) => {
      const identity = parseIdentityText(text);
      return identity ? [{ identity, ...rest }] : [];
    }),
  };
}
