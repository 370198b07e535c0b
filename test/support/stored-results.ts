import { enumValues } from "../../src/domain/enum-values.ts";
import { PLATFORM_SIDE } from "../../src/domain/record-kind.ts";
import { DiscrepancyCause } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import type { Exchange } from "./exchange.ts";
import { readAllResults, reconcileFully } from "./reconcile.ts";
import { tellResult } from "./trouble.ts";

/** Reconciles, and tells every result that stands. */
export async function storedResults({ services: { db } }: Exchange, carrierId: string): Promise<string[]> {
  await reconcileFully(db, carrierId);
  const rows = (await readAllResults(db, carrierId)).filter(({ isMerged }) => !isMerged);
  const causesOf = (bits: number) => enumValues(DiscrepancyCause).filter((cause) => (bits & (1 << cause)) !== 0);
  return rows
    .map((row) => {
      const platform = row.side === PLATFORM_SIDE ? row : undefined;
      return tellResult({ platform, carrier: row.carrierRecords, status: row.status, causes: causesOf(row.causes) });
    })
    .sort();
}
