import { type RawBuilder, sql } from "kysely";
import type { Carrier } from "../../domain/carriers/carrier.ts";
import { identityText, parseIdentityText } from "../../domain/carriers/principal.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { createAuditChain } from "../audit/audit-log.ts";
import { Believed } from "../database/believed.ts";
import { carrierTransaction, type Database } from "../database/database.ts";
import { run, type Tx } from "../database/run.ts";
import { createFeeds } from "../feeds/feed-head.ts";
import { keepIdentities } from "./carrier-identities.ts";

/**
 * Creates a carrier with its feeds and its audit chain. In a system transaction. False, and nothing
 * is done, when the id is taken.
 */
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

/**
 * Writes a carrier over the one of the revision before. In a system transaction. False when that is
 * no longer the newest.
 */
export async function updateCarrier(tx: Tx, carrier: Carrier): Promise<boolean> {
  const update = tx
    .updateTable("carrier")
    .set(columnsOf(carrier))
    .where("carrier_id", "=", carrier.carrierId)
    .where("revision", "=", carrier.revision - 1n);
  const { count } = await run(tx, update);
  return count === 1;
}

/** Reads one carrier. */
export async function readCarrier(tx: Tx, carrierId: string): Promise<Carrier | undefined> {
  const {
    rows: [row],
  } = await run(tx, tx.selectFrom("carrier").selectAll().where("carrier_id", "=", carrierId));
  return row && carrierOfRow(row);
}

/** The ids of all carriers. */
export async function listCarrierIds(tx: Tx): Promise<string[]> {
  const { rows } = await run(tx, tx.selectFrom("carrier").select("carrier_id").orderBy("carrier_id"));
  return rows.map((row) => row.carrierId);
}

/**
 * The condition that a carrier is of a region; undefined: of any. For the work of a process that
 * serves one region.
 */
export function isOfRegion(carrierId: RawBuilder<unknown>, region: string | undefined): RawBuilder<boolean> {
  if (region === undefined) return sql<boolean>`true`;
  return sql<boolean>`EXISTS (SELECT FROM carrier of_region WHERE of_region.carrier_id = ${carrierId} AND of_region.region = ${region})`;
}

/** Which carriers to list. */
export interface CarrierConditions {
  suspended?: boolean;
  legalCountry?: string;
  region?: string;
}

/** Lists carriers by id, after one. In a system transaction. */
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

/** The legal countries that carriers are of; empty conditions: all. In a system transaction. */
export async function listLegalCountries(tx: Tx, of: { countryCode: string; carrierId: string }): Promise<string[]> {
  let query = tx.selectFrom("carrier").select("legal_country").distinct();
  if (of.countryCode !== "") query = query.where("legal_country", "=", of.countryCode);
  if (of.carrierId !== "") query = query.where("carrier_id", "=", of.carrierId);
  return (await run(tx, query)).rows.map((row) => row.legalCountry);
}

/**
 * Makes a carrier's credential identities these. In a system transaction.
 * @returns an identity that belongs to another carrier, and whose it is; then nothing may be
 *   committed.
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

/**
 * The carriers' settings as ingest and streams ask for them all the time: at most two seconds old,
 * read once for all who ask.
 */
export class CarrierDirectory {
  readonly #db: Database;
  readonly #known = new Believed<Carrier | undefined>();

  constructor(db: Database) {
    this.#db = db;
  }

  /** A carrier's settings; undefined when there is no such carrier. */
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

// What no query looks for, as JSON; bigints in decimal.
interface StoredSettings {
  reportingScopes: {
    directions: number[];
    unanswered: boolean;
    emergency: boolean;
    startTime?: string;
    endTime?: string;
  }[];
  durationToleranceMs: string;
  graceMs: string;
  thresholds: Carrier["thresholds"];
  horizons: Carrier["horizons"];
  roundingRule?: NonNullable<Carrier["roundingRule"]>;
  networkIdentifiersAllowed: boolean;
  credentials: { identity: string; expireTime?: string }[];
}

function columnsOf(carrier: Carrier) {
  const settings: StoredSettings = {
    reportingScopes: carrier.reportingScopes.map(({ startTime, endTime, directions, ...scope }) => ({
      ...scope,
      directions: [...directions],
      ...(startTime === undefined ? {} : { startTime: String(startTime) }),
      ...(endTime === undefined ? {} : { endTime: String(endTime) }),
    })),
    durationToleranceMs: String(carrier.durationToleranceMs),
    graceMs: String(carrier.graceMs),
    thresholds: carrier.thresholds,
    horizons: carrier.horizons,
    ...(carrier.roundingRule ? { roundingRule: carrier.roundingRule } : {}),
    networkIdentifiersAllowed: carrier.networkIdentifiersAllowed,
    credentials: carrier.credentials.map(({ identity, expireTime }) => ({
      identity: identityText(identity),
      ...(expireTime === undefined ? {} : { expireTime: String(expireTime) }),
    })),
  };
  return {
    revision: carrier.revision,
    display_name: carrier.displayName,
    legal_country: carrier.legalCountry,
    time_zone: carrier.timeZone,
    region: carrier.region,
    sip_domain: carrier.sipDomain ?? null,
    suspended: carrier.suspended,
    settings: JSON.stringify(settings),
    update_time: isoFromMicros(carrier.updateTime),
  };
}

interface CarrierRow {
  carrierId: string;
  revision: bigint;
  displayName: string;
  legalCountry: string;
  timeZone: string;
  region: string;
  sipDomain: string | undefined;
  suspended: boolean;
  settings: unknown;
  createTime: Micros;
  updateTime: Micros;
}

function carrierOfRow(row: CarrierRow): Carrier {
  const settings = row.settings as StoredSettings;
  return {
    carrierId: row.carrierId,
    displayName: row.displayName,
    legalCountry: row.legalCountry,
    timeZone: row.timeZone,
    region: row.region,
    ...(row.sipDomain === undefined ? {} : { sipDomain: row.sipDomain }),
    suspended: row.suspended,
    reportingScopes: settings.reportingScopes.map(({ startTime, endTime, ...scope }) => ({
      ...scope,
      ...(startTime === undefined ? {} : { startTime: BigInt(startTime) }),
      ...(endTime === undefined ? {} : { endTime: BigInt(endTime) }),
    })),
    durationToleranceMs: BigInt(settings.durationToleranceMs),
    graceMs: BigInt(settings.graceMs),
    thresholds: settings.thresholds,
    horizons: settings.horizons,
    ...(settings.roundingRule ? { roundingRule: settings.roundingRule } : {}),
    networkIdentifiersAllowed: settings.networkIdentifiersAllowed,
    credentials: settings.credentials.flatMap(({ identity: text, expireTime }) => {
      const identity = parseIdentityText(text);
      if (!identity) return [];
      return [{ identity, ...(expireTime === undefined ? {} : { expireTime: BigInt(expireTime) }) }];
    }),
    createTime: row.createTime,
    updateTime: row.updateTime,
    revision: row.revision,
  };
}
