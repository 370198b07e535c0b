import { CARRIER_DEFAULTS, type Carrier } from "../../src/domain/carrier.ts";
import { microsFromMs } from "../../src/domain/instant.ts";
import { insertCarrier, writeCredentials } from "../../src/store/carriers.ts";
import { type Database, systemTransaction } from "../../src/store/database.ts";

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
