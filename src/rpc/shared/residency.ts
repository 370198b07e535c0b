import type { Carrier } from "../../domain/carriers/carrier.ts";
import { TandemError } from "../../domain/errors.ts";
import { readCarrierAccess } from "../../store/carriers/carrier-access.ts";
import type { Tx } from "../../store/database/run.ts";

/** What decides where data may be served. */
interface Serving {
  readonly config: {
    /** The region of this process; undefined: it serves every carrier. */
    readonly region: string | undefined;
  };
}

/**
 * Refuses a carrier whose data is kept in another region than this process's. Throws
 * REGION_MISMATCH.
 */
export function assertServedRegion({ config: { region } }: Serving, carrier: Pick<Carrier, "region">): void {
  if (region !== undefined && carrier.region !== region) throw regionMismatch(carrier.region);
}

/**
 * Refuses an answer with figures or records of these carriers if the data of any of them is kept in
 * another region: to leave one out would make a customer's sums wrong without notice. In a system
 * transaction.
 * @throws TandemError REGION_MISMATCH.
 */
export async function assertServedHere(tx: Tx, { config: { region } }: Serving, carrierIds: readonly string[]) {
  if (region === undefined || carrierIds.length === 0) return;
  const other = (await readCarrierAccess(tx, carrierIds)).find((carrier) => carrier.region !== region);
  if (other) throw regionMismatch(other.region);
}

/** The error of asking for data that is kept in another region. */
export function regionMismatch(region: string): TandemError {
  return new TandemError("REGION_MISMATCH", `the carrier's data is served in region ${region} only`, { region });
}
