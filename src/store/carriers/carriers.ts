import { type RawBuilder, sql } from "kysely";
import type { Carrier, ReportingScope } from "../../domain/carriers/carrier.ts";
import { identityText, parseIdentityText } from "../../domain/carriers/principal.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { createAuditChain } from "../audit/audit-log.ts";
import { Believed } from "../database/believed.ts";
import { textArray } from "../database/binary-array.ts";
import { carrierTransaction, type Database, systemTransaction } from "../database/database.ts";
import { instant, readColumn, readRow, readRows, run, type Tx, unnest } from "../database/run.ts";
import { createFeeds } from "../feeds/feed-head.ts";
import { writeSummarizedFrom } from "../reconciliation/summary-sums.ts";
import { useZone } from "../usage/usage-sums.ts";
import { keepIdentities } from "./carrier-identities.ts";

/** Creates a carrier with feeds and audit chain. In a system transaction. False: id taken. */
export async function insertCarrier(tx: Tx, carrier: Carrier): Promise<boolean> {
  const columns = columnsOf(carrier);
  const { count } = await run(tx)`
    INSERT INTO carrier (carrier_id, create_time, ${namesOf(columns)})
    VALUES (${carrier.carrierId}, ${instant(carrier.createTime)}, ${sql.join(Object.values(columns))}) ON CONFLICT DO NOTHING`;
  if (count === 0) return false;
  await createFeeds(tx, carrier.carrierId);
  await createAuditChain(tx, carrier.carrierId);
  await useZone(tx, [carrier.carrierId], carrier.timeZone, { areNew: true });
  await writeSummarizedFrom(tx, carrier.carrierId);
  return true;
}

/** Writes a carrier over its previous revision. In a system transaction. False: not the newest. */
export async function updateCarrier(tx: Tx, carrier: Carrier): Promise<boolean> {
  const columns = columnsOf(carrier);
  const { count } = await run(tx)`
    UPDATE carrier SET (${namesOf(columns)}) = (${sql.join(Object.values(columns))})
    WHERE carrier_id = ${carrier.carrierId} AND revision = ${carrier.revision - 1n}`;
  if (count === 1) await useZone(tx, [carrier.carrierId], carrier.timeZone);
  return count === 1;
}

export async function readCarrier(tx: Tx, carrierId: string): Promise<Carrier | undefined> {
  const row = await readRow(tx)<CarrierRow>`SELECT * FROM carrier WHERE carrier_id = ${carrierId}`;
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

export function listCarriers(
  tx: Tx,
  { suspended, legalCountry, region }: CarrierConditions,
  page: { afterCarrierId: string; limit: number },
): Promise<Carrier[]> {
  const wheres = [sql`carrier_id COLLATE "C" > ${page.afterCarrierId}`];
  if (suspended !== undefined) wheres.push(sql`suspended = ${suspended}`);
  if (legalCountry !== undefined) wheres.push(sql`legal_country = ${legalCountry}`);
  if (region !== undefined) wheres.push(sql`region = ${region}`);
  return readRows(tx, carrierOfRow)`
    SELECT * FROM carrier WHERE ${sql.join(wheres, sql` AND `)} ORDER BY carrier_id COLLATE "C" LIMIT ${page.limit}`;
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
export function listLegalCountries(tx: Tx, of: { countryCode: string; carrierId: string }): Promise<string[]> {
  const wheres = [sql`true`];
  if (of.countryCode !== "") wheres.push(sql`legal_country = ${of.countryCode}`);
  if (of.carrierId !== "") wheres.push(sql`carrier_id = ${of.carrierId}`);
  return readColumn(tx)<string>`SELECT DISTINCT legal_country FROM carrier WHERE ${sql.join(wheres, sql` AND `)}`;
}

/**
 * Makes these a carrier's credential identities. In a system transaction.
 * @returns an identity that belongs to another carrier, with its owner; do not commit then.
 */
export async function writeCredentials(
  tx: Tx,
  carrier: Carrier,
): Promise<{ identity: string; carrierId: string } | undefined> {
  const removed = await readColumn(tx)<string>`
    DELETE FROM carrier_credential WHERE carrier_id = ${carrier.carrierId} RETURNING identity`;
  const written = carrier.credentials.map(({ identity, expireTime = NO_END }) => ({
    identity: identityText(identity),
    expireTime,
  }));
  // Those removed too: a process of an older version may have registered them.
  await keepIdentities(tx, carrier.carrierId, [...new Set([...removed, ...written.map(({ identity }) => identity)])]);
  // Sorted, so that two writers of the same identities wait for each other in one order.
  written.sort((a, b) => (a.identity < b.identity ? -1 : 1));
  await run(tx)`
    INSERT INTO carrier_credential (identity, carrier_id, expire_time)
    SELECT w.identity, ${carrier.carrierId}, w.expire_time
    FROM ${unnest("w", written, { identity: "text", expireTime: "timestamptz" })} ON CONFLICT DO NOTHING`;
  return readRow(tx)<{ identity: string; carrierId: string }>`
    SELECT identity, carrier_id FROM carrier_credential
    WHERE identity = ANY(${textArray(written.map(({ identity }) => identity))}::text[]) AND carrier_id <> ${carrier.carrierId}`;
}

/**
 * How long settings are believed whose revision somebody reads every two seconds, milliseconds:
 * until the next reading has come.
 */
const CONFIRMED_MS = 2_500;

/** Carriers' settings for ingest and streams: at most 2.5 seconds old, read once for all. */
export function openCarrierDirectory(db: Database) {
  const known = new Believed<Carrier | undefined>();
  return {
    /** Undefined: no such carrier. */
    get: (carrierId: string) =>
      known.get(carrierId, () => carrierTransaction(db, carrierId, (tx) => readCarrier(tx, carrierId))),
    /** Takes revisions that somebody has just read, instead of reading those carriers again. */
    confirm: async (revisions: Iterable<{ carrierId: string; revision: bigint }>, seenAt: number) => {
      for (const { carrierId, revision } of revisions)
        await known.confirm(carrierId, (carrier) => carrier?.revision === revision, seenAt + CONFIRMED_MS);
    },
    /** Forgets a carrier that this process has just changed, or all. */
    forget: (carrierId?: string) => known.forget(carrierId),
  };
}
export type CarrierDirectory = ReturnType<typeof openCarrierDirectory>;

const NO_END: Micros = 253_402_300_799_999_999n;

// What no query looks for, as JSON; bigints in decimal, identities as texts.
type Settings = Pick<
  Carrier,
  "durationToleranceMs" | "graceMs" | "thresholds" | "horizons" | "roundingRule" | "networkIdentifiersAllowed"
> & { reportingScopes: readonly ReportingScope[]; credentials: { identity: string; expireTime?: Micros }[] };
const BIGINTS: ReadonlySet<string> = new Set(["durationToleranceMs", "graceMs", "startTime", "endTime", "expireTime"]);

function namesOf(columns: object) {
  return sql.join(Object.keys(columns).map((name) => sql.ref(name)));
}

function columnsOf({ carrierId: _, createTime: __, ...carrier }: Carrier) {
  const { revision, displayName, legalCountry, timeZone, region, sipDomain, suspended, updateTime, ...agreed } =
    carrier;
  const settings: Settings = {
    ...agreed,
    credentials: agreed.credentials.map(({ identity, ...rest }) => ({ ...rest, identity: identityText(identity) })),
  };
  return {
    revision,
    display_name: displayName,
    legal_country: legalCountry,
    time_zone: timeZone,
    region,
    sip_domain: sipDomain ?? null,
    suspended,
    settings: JSON.stringify(settings, (_, value) => (typeof value === "bigint" ? String(value) : value)),
    update_time: instant(updateTime),
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
