import { TandemError } from "../../domain/errors.ts";
import { unlessAborted } from "../../domain/unless-aborted.ts";
import { Buckets } from "../../port/buckets.ts";

const HOUR_S = 3_600;

/** So many NUMBER_UNAVAILABLE answers a call may give. Settle it however the call ended. */
export interface ProbeReservation {
  readonly most: number;
  /** Gives back what was not spent. */
  settle(spent: number): void;
}

/**
 * Limits how often a carrier learns that a number is another's, so that nobody can map inventories.
 * A call reserves as many answers as it has numbers, or all that are left, and waits for what
 * others give back. Each process counts for itself.
 */
export class ProbeLimit {
  readonly #perHour: number;
  readonly #buckets: Buckets;
  readonly #carriers = new Map<string, Carrier>();

  /** @param perHour how many answers a carrier can have at once, and how many more each hour. */
  constructor(perHour: number, now?: () => number) {
    this.#perHour = perHour;
    this.#buckets = new Buckets({ perSecond: perHour / HOUR_S, burst: perHour, ...(now ? { now } : {}) });
  }

  /** @throws TandemError RATE_LIMITED while none is left. */
  async reserve(carrierId: string, numbers: number, signal: AbortSignal): Promise<ProbeReservation> {
    if (numbers === 0) return { most: 0, settle: () => {} };
    const wanted = Math.min(numbers, this.#perHour);
    const carrier = this.#carriers.get(carrierId) ?? { reserved: 0, waiting: new Set() };
    this.#carriers.set(carrierId, carrier);
    while (carrier.reserved > 0 && this.#buckets.left(carrierId) < wanted) await untilSettled(carrier, signal);
    const most = Math.min(wanted, Math.floor(this.#buckets.left(carrierId)));
    if (most < 1) {
      this.#forgetIfIdle(carrierId, carrier);
      throw this.refusal(carrierId, wanted);
    }
    this.#buckets.spend(carrierId, most);
    carrier.reserved++;
    return { most, settle: (spent) => this.#settle(carrierId, carrier, most - spent) };
  }

  /** The error of a call that would tell more than it reserved, with when all may be told. */
  refusal(carrierId: string, numbers: number): TandemError {
    const retryAfterMs = this.#buckets.waitMs(carrierId, Math.min(numbers, this.#perHour));
    const message = "too many numbers of late were another carrier's: call again later, or with fewer numbers";
    return new TandemError("RATE_LIMITED", message, {}, { retryAfterMs });
  }

  #settle(carrierId: string, carrier: Carrier, unspent: number): void {
    this.#buckets.spend(carrierId, -unspent);
    carrier.reserved--;
    // Whoever still finds too little waits again.
    for (const wake of carrier.waiting) wake();
    this.#forgetIfIdle(carrierId, carrier);
  }

  #forgetIfIdle(carrierId: string, carrier: Carrier): void {
    if (carrier.reserved === 0 && carrier.waiting.size === 0 && this.#carriers.get(carrierId) === carrier) {
      this.#carriers.delete(carrierId);
    }
  }
}

/** As many as may live at once, so no limit of its own. */
interface Carrier {
  reserved: number;
  readonly waiting: Set<() => void>;
}

function untilSettled({ waiting }: Carrier, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  waiting.add(resolve);
  return unlessAborted(promise, signal).finally(() => waiting.delete(resolve));
}
