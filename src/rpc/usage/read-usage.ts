import type { DatedPeriod } from "../../domain/usage/usage-scope.ts";
import type { Tx } from "../../store/database/run.ts";
import { readSumSource } from "../../store/usage/summed-usage.ts";
import { readCarrierUsage, readUsageCarriers, type UsageQuery } from "../../store/usage/usage.ts";
import type { Services } from "../shared/context.ts";
import { assertServedHere } from "../shared/residency.ts";
import { completenessMessage } from "./message.ts";
import { findVersions, type ReadUsageRequest } from "./request.ts";

/**
 * Reads usage and its completeness, in a system transaction with a snapshot. Throws
 * INVALID_ARGUMENT, PERIOD_NOT_FOUND, REGION_MISMATCH.
 */
export async function readUsage(
  tx: Tx,
  services: Services,
  asked: ReadUsageRequest & { readonly period: DatedPeriod; readonly isWhole: boolean },
) {
  const { period, isWhole, asOf } = asked;
  const { versions, periods } = await findVersions(tx, period, asOf);
  const sums = versions.length === 0 ? await readSumSource(tx, period) : undefined;
  const query: UsageQuery = { ...asked, versions, sums, otherParty: { isWhole, secret: services.installation.secret } };
  const usage = await readCarrierUsage(tx, query);
  const carrierIds = usage.map(({ carrierId }) => carrierId);
  await assertServedHere(tx, services, carrierIds);
  const completeness = completenessMessage(usage, await readUsageCarriers(tx, period, carrierIds), periods);
  return { query, usage, carrierIds, completeness };
}
