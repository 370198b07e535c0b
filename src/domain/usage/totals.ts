import { UsagePart } from "../../gen/tandem/platform/v1/usage_pb.js";
import { enumValues } from "../enum-values.ts";

/** Every part of the usage. Each call is in exactly one. */
export const USAGE_PARTS = enumValues(UsagePart);

/** Sums over calls; as tandem.platform.v1.UsageTotals. */
export interface UsageTotals {
  readonly attempts: bigint;
  readonly answered: bigint;
  /** Of the answered ones, milliseconds. */
  readonly connectedMs: bigint;
  /** Answered calls with billed seconds. */
  readonly billedCount: bigint;
  /** Sum of those, seconds. */
  readonly billedS: bigint;
  /** Answered calls whose connected time is not known: it is not in the sum. */
  readonly unmeasured: bigint;
}

/** Sums by part; a part without calls is left out. */
export type PartTotals = ReadonlyMap<UsagePart, UsageTotals>;

/** No calls. */
export const NO_USAGE: UsageTotals = {
  attempts: 0n,
  answered: 0n,
  connectedMs: 0n,
  billedCount: 0n,
  billedS: 0n,
  unmeasured: 0n,
};

/** Sums as they are kept; the last, which older ones lack, only where it is not 0. */
export function sumsOfTotals({ attempts, answered, connectedMs, billedCount, billedS, unmeasured }: UsageTotals) {
  return [attempts, answered, connectedMs, billedCount, billedS, ...(unmeasured === 0n ? [] : [unmeasured])];
}

/** Sums from what was kept. */
export function totalsOfSums(sums: readonly bigint[]): UsageTotals {
  const [attempts = 0n, answered = 0n, connectedMs = 0n, billedCount = 0n, billedS = 0n, unmeasured = 0n] = sums;
  return { attempts, answered, connectedMs, billedCount, billedS, unmeasured };
}

/** The sum of two. */
export function addTotals(a: UsageTotals, b: UsageTotals): UsageTotals {
  return {
    attempts: a.attempts + b.attempts,
    answered: a.answered + b.answered,
    connectedMs: a.connectedMs + b.connectedMs,
    billedCount: a.billedCount + b.billedCount,
    billedS: a.billedS + b.billedS,
    unmeasured: a.unmeasured + b.unmeasured,
  };
}

/** One minus another. */
export function subtractTotals(a: UsageTotals, b: UsageTotals): UsageTotals {
  return {
    attempts: a.attempts - b.attempts,
    answered: a.answered - b.answered,
    connectedMs: a.connectedMs - b.connectedMs,
    billedCount: a.billedCount - b.billedCount,
    billedS: a.billedS - b.billedS,
    unmeasured: a.unmeasured - b.unmeasured,
  };
}

/** The sum of all parts: the only way in which a total is made. */
export function totalOf(parts: PartTotals): UsageTotals {
  return [...parts.values()].reduce(addTotals, NO_USAGE);
}

/** Adds the parts of one to those of another, in place. */
export function addParts(to: Map<UsagePart, UsageTotals>, parts: PartTotals): void {
  for (const [part, totals] of parts) to.set(part, addTotals(to.get(part) ?? NO_USAGE, totals));
}

/** The share of a part in all attempts, 0..1; undefined when there is no attempt. */
export function shareOf(parts: PartTotals, part: UsagePart): number | undefined {
  const { attempts } = totalOf(parts);
  if (attempts === 0n) return undefined;
  return Number(parts.get(part)?.attempts ?? 0n) / Number(attempts);
}
