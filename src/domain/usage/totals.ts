import { UsagePart } from "../../gen/tandem/platform/v1/usage_pb.js";
import { enumValues } from "../enum-values.ts";

/** Each call is in exactly one part. */
export const USAGE_PARTS = enumValues(UsagePart);

/** In the order in which usage_line and usage_period keep them. */
export const SUMS = ["attempts", "answered", "connectedMs", "billedCount", "billedS", "unmeasured"] as const;

/**
 * Sums over calls, as tandem.platform.v1.UsageTotals: of answered calls the connected milliseconds,
 * how many have billed seconds and how many these are, and how many lack a connected time.
 */
export type UsageTotals = Readonly<Record<(typeof SUMS)[number], bigint>>;

/** Sums by part. Parts without calls are left out. */
export type PartTotals = ReadonlyMap<UsagePart, UsageTotals>;

function totalsBy(sumOf: (name: (typeof SUMS)[number], index: number) => bigint): UsageTotals {
  return Object.fromEntries(SUMS.map((name, index) => [name, sumOf(name, index)])) as UsageTotals;
}

export const NO_USAGE = totalsBy(() => 0n);

/** The last sum, which older rows lack, is kept only if it is not 0. */
export function sumsOfTotals(totals: UsageTotals): bigint[] {
  return SUMS.map((name) => totals[name]).filter((sum, index) => index < SUMS.length - 1 || sum !== 0n);
}

export function totalsOfSums(sums: readonly (bigint | undefined)[]): UsageTotals {
  return totalsBy((_, index) => sums[index] ?? 0n);
}

export function addTotals(a: UsageTotals, b: UsageTotals): UsageTotals {
  return totalsBy((name) => a[name] + b[name]);
}

export function subtractTotals(a: UsageTotals, b: UsageTotals): UsageTotals {
  return totalsBy((name) => a[name] - b[name]);
}

/** The only way in which a total is made. */
export function totalOf(parts: PartTotals): UsageTotals {
  return [...parts.values()].reduce(addTotals, NO_USAGE);
}

export function addParts(to: Map<UsagePart, UsageTotals>, parts: PartTotals): void {
  for (const [part, totals] of parts) to.set(part, addTotals(to.get(part) ?? NO_USAGE, totals));
}

/** The share of a part in all attempts, 0..1; undefined: no attempts. */
export function shareOf(parts: PartTotals, part: UsagePart): number | undefined {
  const { attempts } = totalOf(parts);
  if (attempts === 0n) return undefined;
  return Number(parts.get(part)?.attempts ?? 0n) / Number(attempts);
}
