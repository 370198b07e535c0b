import type { Micros } from "../../domain/time/instant.ts";
import type { Tx } from "../database/run.ts";
import { type Holding, readHoldings } from "./numbers.ts";

/** Over all carriers; beyond that everything is forgotten and read again. */
const MAX_NUMBERS = 200_000;

/** Where a numbers feed stands; with the epoch, since a restore may repeat sequences. */
export interface NumbersHead {
  readonly epoch: bigint;
  readonly headSequence: bigint;
}

/** Remembers to whom numbers were assigned, until the numbers feed moves (with every change). */
export class HoldingsCache {
  readonly #carriers = new Map<string, { version: string; holdings: Map<string, readonly Holding[]> }>();
  #count = 0;

  /** The holdings of these numbers. The numbers may be iterated more than once. */
  async load(
    tx: Tx,
    carrierId: string,
    head: NumbersHead,
    numbers: Iterable<string>,
  ): Promise<ReadonlyMap<string, readonly Holding[]>> {
    const version = `${head.epoch}:${head.headSequence}`;
    let carrier = this.#carriers.get(carrierId);
    if (carrier?.version !== version) {
      this.#count -= carrier?.holdings.size ?? 0;
      carrier = { version, holdings: new Map() };
      this.#carriers.set(carrierId, carrier);
    }
    const missing = new Set<string>();
    for (const number of numbers) if (!carrier.holdings.has(number)) missing.add(number);
    if (missing.size === 0) return carrier.holdings;
    if (this.#count + missing.size > MAX_NUMBERS) return this.#startOver(tx, carrierId, head, new Set(numbers));
    const found = Map.groupBy(await readHoldings(tx, carrierId, [...missing]), (holding) => holding.phoneNumber);
    for (const number of missing) carrier.holdings.set(number, found.get(number) ?? []);
    this.#count += missing.size;
    return carrier.holdings;
  }

  // A carrier whose calls alone name more numbers than fit is read without being remembered.
  async #startOver(tx: Tx, carrierId: string, head: NumbersHead, numbers: ReadonlySet<string>) {
    this.#carriers.clear();
    this.#count = 0;
    if (numbers.size <= MAX_NUMBERS) return this.load(tx, carrierId, head, numbers);
    return Map.groupBy(await readHoldings(tx, carrierId, [...numbers]), (holding) => holding.phoneNumber);
  }
}

/** The first candidate that the carrier held and had assigned to a customer at an instant. */
export function attribute(
  candidates: readonly { basis: number; number: string }[],
  instant: Micros | undefined,
  holdings: ReadonlyMap<string, readonly Holding[]>,
): { phoneNumber: string; customerId: string; basis: number } | undefined {
  if (instant === undefined) return undefined;
  for (const { basis, number } of candidates) {
    for (const holding of holdings.get(number) ?? []) {
      if (holding.customerId !== undefined && holding.startTime <= instant && instant < holding.endTime) {
        return { phoneNumber: number, customerId: holding.customerId, basis };
      }
    }
  }
  return undefined;
}
