import { sql } from "kysely";
import { policiesInForce, type RetentionDays, retentionDays, type SetPolicy } from "../../domain/privacy/retention.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { Believed } from "../database/believed.ts";
import { type Database, systemTransaction } from "../database/database.ts";
import { readRow, readRows, type Tx } from "../database/run.ts";

/** A policy that somebody has set. This file is for system transactions. */
export interface StoredPolicy extends SetPolicy {
  readonly updateTime: Micros;
  readonly updatedBy: string;
}

/** What was set for a country and its carriers, or everywhere. */
export function readSetPolicies(
  tx: Tx,
  { countryCode, carrierId }: { countryCode?: string; carrierId?: string } = {},
): Promise<StoredPolicy[]> {
  const wheres = [sql`true`];
  if (countryCode !== undefined) wheres.push(sql`country_code = ${countryCode}`);
  if (carrierId !== undefined) wheres.push(sql`carrier_id IN ('', ${carrierId})`);
  return readRows(tx)<StoredPolicy>`
    SELECT country_code, NULLIF(carrier_id, '') AS carrier_id, record_part AS part, purpose, legal_basis, retention_days, source,
      privacy_statement_version, revision, update_time, updated_by
    FROM retention_policy WHERE ${sql.join(wheres, sql` AND `)}`;
}

/** The policies in force for a carrier. */
export async function readCarrierPolicies(tx: Tx, carrier: { carrierId: string; legalCountry: string }) {
  const set = await readSetPolicies(tx, { countryCode: carrier.legalCountry, carrierId: carrier.carrierId });
  return policiesInForce({ countryCode: carrier.legalCountry, carrierId: carrier.carrierId }, set);
}

/** How long each part of a carrier's records is kept. */
export async function readRetentionDays(
  tx: Tx,
  carrier: { carrierId: string; legalCountry: string },
): Promise<RetentionDays> {
  return retentionDays(await readCarrierPolicies(tx, carrier));
}

/** Sets a policy over `revision` (0: none yet). Undefined: that is not the newest. */
export async function writePolicy(
  tx: Tx,
  policy: Omit<SetPolicy, "revision">,
  revision: bigint,
  updatedBy: string,
): Promise<StoredPolicy | undefined> {
  const row = await readRow(tx)<{ updateTime: Micros }>`
    INSERT INTO retention_policy AS p (country_code, carrier_id, record_part, purpose, legal_basis, retention_days, source,
      privacy_statement_version, revision, update_time, updated_by)
    SELECT ${policy.countryCode}, ${policy.carrierId ?? ""}, ${policy.part}::int2, ${policy.purpose}::int2, ${policy.legalBasis}::int2,
      ${policy.retentionDays}::int4, ${policy.source}, ${policy.privacyStatementVersion}, ${revision + 1n}::int8, clock_timestamp(), ${updatedBy}
    ON CONFLICT (country_code, carrier_id, record_part, purpose) DO UPDATE
    SET legal_basis = EXCLUDED.legal_basis, retention_days = EXCLUDED.retention_days, source = EXCLUDED.source,
      privacy_statement_version = EXCLUDED.privacy_statement_version, revision = EXCLUDED.revision, update_time = EXCLUDED.update_time,
      updated_by = EXCLUDED.updated_by
    WHERE p.revision = ${revision}::int8
    RETURNING update_time`;
  return row && { ...policy, revision: revision + 1n, updateTime: row.updateTime, updatedBy };
}

/** How long each carrier's parts are kept, at most two seconds old. */
export function openRetentionDirectory(db: Database) {
  const known = new Believed<RetentionDays>();
  return {
    get: (carrier: { carrierId: string; legalCountry: string }) =>
      known.get(carrier.carrierId, () => systemTransaction(db, (tx) => readRetentionDays(tx, carrier))),
    forget: () => known.forget(),
  };
}
export type RetentionDirectory = ReturnType<typeof openRetentionDirectory>;
