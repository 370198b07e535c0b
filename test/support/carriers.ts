import { sql } from "kysely";
import { CARRIER_DEFAULTS, type Carrier } from "../../src/domain/carriers/carrier.ts";
import { microsFromMs } from "../../src/domain/time/instant.ts";
import { insertCarrier, writeCredentials } from "../../src/store/carriers/carriers.ts";
import { carrierTransaction, type Database, systemTransaction } from "../../src/store/database/database.ts";

/** Onboards a carrier with the defaults and returns it. */
export async function addCarrier(db: Database, carrierId: string, settings: Partial<Carrier> = {}): Promise<Carrier> {
  const now = microsFromMs(Date.now());
  const carrier: Carrier = {
    carrierId,
    displayName: carrierId,
    legalCountry: "DK",
    timeZone: "Europe/Copenhagen",
    region: "eu",
    sipDomain: `${carrierId}.example`,
    suspended: false,
    reportingScopes: [{ directions: CARRIER_DEFAULTS.directions, unanswered: false, emergency: false }],
    durationToleranceMs: CARRIER_DEFAULTS.durationToleranceMs,
    graceMs: CARRIER_DEFAULTS.graceMs,
    thresholds: {},
    horizons: CARRIER_DEFAULTS.horizons,
    networkIdentifiersAllowed: false,
    credentials: [],
    createTime: now,
    updateTime: now,
    revision: 1n,
    ...settings,
  };
  await systemTransaction(db, async (tx) => {
    if (!(await insertCarrier(tx, carrier))) throw new Error(`carrier ${carrierId} exists`);
    await writeCredentials(tx, carrier);
  });
  return carrier;
}

/**
 * Gives a carrier numbers that have been assigned to a customer since 2020, straight in the history
 * that attribution reads.
 */
export async function assignNumbers(
  db: Database,
  carrierId: string,
  numbers: readonly string[],
  customerId: string,
): Promise<void> {
  const attributes = { numberType: 1, usages: [1], capabilities: [1], countryCode: "DK" };
  const assignment = { customerId, assigneeKind: 1, activationState: 2, locationId: "location-1" };
  const detail = JSON.stringify({ attributes, assignment });
  await carrierTransaction(db, carrierId, async (tx) => {
    await sql`
      INSERT INTO number_holding (carrier_id, phone_number, start_time, end_time, holding_start_time, customer_id, revision, recorded_time, detail)
      SELECT ${carrierId}, n, '2020-01-01', '9999-12-31T23:59:59.999999Z', '2020-01-01', ${customerId}, 1, '2020-01-01', ${detail}::jsonb
      FROM unnest(${[...numbers]}::text[]) AS n`.execute(tx);
  });
}
