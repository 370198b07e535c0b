import type { Micros } from "../../domain/time/instant.ts";
import { readRows, type Tx } from "../database/run.ts";

export interface CarrierAccessRow {
  readonly carrierId: string;
  readonly suspended: boolean;
  readonly region: string;
  readonly revision: bigint;
}

/** Whose a credential's identity is. */
export interface CredentialRow {
  readonly identity: string;
  readonly carrierId: string;
  /** Not accepted from then on; the far future when it has no end; 1970 when it was removed. */
  readonly expireTime: Micros;
}

export function readCarrierAccess(tx: Tx, carrierIds: readonly string[]): Promise<CarrierAccessRow[]> {
  return readRows(tx)<CarrierAccessRow>`
    SELECT carrier_id, suspended, region, revision FROM carrier WHERE carrier_id = ANY(${carrierIds}::text[])`;
}

/** Finds whose identities these are, or were before they were removed. In a system transaction. */
export function findCredentials(tx: Tx, identities: readonly string[]): Promise<CredentialRow[]> {
  return readRows(tx)<CredentialRow>`
    SELECT identity, carrier_id, expire_time FROM carrier_credential WHERE identity = ANY(${identities}::text[])
    UNION ALL
    SELECT identity, carrier_id, '1970-01-01T00:00:00Z' FROM carrier_identity AS former
    WHERE identity = ANY(${identities}::text[])
      AND NOT EXISTS (SELECT FROM carrier_credential AS present WHERE present.identity = former.identity)`;
}
