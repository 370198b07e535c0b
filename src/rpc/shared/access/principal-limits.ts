import type { HandlerContext } from "@connectrpc/connect";
import type { Principal } from "../../../domain/carriers/principal.ts";
import { rateLimited } from "../../../domain/errors.ts";
import type { Limits } from "../../../domain/limits.ts";
import { Buckets } from "../../../port/buckets.ts";
import type { CallMeter } from "../../../port/call-meter.ts";
import { Places } from "../../../port/places.ts";

/** What may be spent at once after a rest, in seconds of the rate. */
const CALL_BURST_S = 10;
const BYTE_BURST_S = 4;
const FAILURE_BURST_S = 100;

/**
 * Limits how much of this process one principal may use: calls a second, calls at once, bytes a
 * second. A carrier is one principal, however many credentials it has; each identity of the
 * platform is one. Each process counts for itself.
 */
export class PrincipalLimits {
  readonly #calls: Buckets;
  readonly #bytes: Buckets;
  readonly #maxLiveCalls: number;
  readonly #live = new Places();

  constructor({ maxCallsPerSecond, maxBytesPerSecond, maxLiveCalls }: Limits) {
    this.#calls = new Buckets({ perSecond: maxCallsPerSecond, burst: maxCallsPerSecond * CALL_BURST_S });
    this.#bytes = new Buckets({ perSecond: maxBytesPerSecond, burst: maxBytesPerSecond * BYTE_BURST_S });
    this.#maxLiveCalls = maxLiveCalls;
  }

  /**
   * Lets a call in, until its signal aborts, and has its bytes counted. Bytes are paid for
   * afterwards: a call that is in goes on, its request no faster than the rate, and the next is
   * refused until the debt is paid back.
   * @throws TandemError TOO_MANY_STREAMS, RATE_LIMITED
   */
  admit(context: Pick<HandlerContext, "signal">, principal: Principal, meter: CallMeter | undefined): void {
    const key = callerKeyOf(principal);
    using admission = new DisposableStack();
    const live = admission.use(
      this.#live.takeWithin(key, {
        mostOfOne: this.#maxLiveCalls,
        refusal: (limit) => `the credential has ${limit} calls at once already`,
      }),
    );
    const retryAfterMs = this.#bytes.waitMs(key, 0) || this.#calls.take(key);
    if (retryAfterMs > 0)
      throw rateLimited("too many calls or bytes in the last seconds: call again later", retryAfterMs);
    if (context.signal.aborted) return;
    admission.move();
    context.signal.addEventListener("abort", () => live[Symbol.dispose](), { once: true });
    meter?.charge((bytes) => {
      this.#bytes.spend(key, bytes);
      return this.#bytes.waitMs(key, 0);
    });
  }
}

/** Most subjects that are known to have been let in from an address. */
const MAX_KNOWN_SUBJECTS = 10_000;

/**
 * Limits how often an address may show a credential that is not genuine. Known good credentials are
 * exempt, and a subject that was let in from the address has a limit of its own, so that one
 * misconfigured client behind a proxy does not shut out the others.
 */
export class FailureLimit {
  readonly #buckets: Buckets;
  readonly #subjects = new Set<string>();

  /** @param perSecond 0: no limit. */
  constructor(perSecond: number) {
    this.#buckets = new Buckets({ perSecond, burst: perSecond * FAILURE_BURST_S });
  }

  /**
   * @param subject the credential's claimed subject, unverified; asked for only when it matters.
   * @returns what to spend if it fails.
   * @throws TandemError RATE_LIMITED
   */
  assertAllowed(address: string, subject: () => string | undefined): string {
    const retryAfterMs = this.#buckets.waitMs(address);
    if (retryAfterMs === 0) return address;
    const own = `${address} ${subject() ?? ""}`;
    if (this.#subjects.has(own) && this.#buckets.waitMs(own) === 0) return own;
    throw rateLimited("too many credentials of this address were refused: call again later", retryAfterMs);
  }

  spend(key: string): void {
    this.#buckets.spend(key, 1);
  }

  /** Notes that a subject was let in from an address. */
  letIn(address: string, subject: string): void {
    const own = `${address} ${subject}`;
    this.#subjects.delete(own);
    const [oldest] = this.#subjects;
    if (this.#subjects.size >= MAX_KNOWN_SUBJECTS && oldest !== undefined) this.#subjects.delete(oldest);
    this.#subjects.add(own);
  }
}

/**
 * The key under which a principal's use is counted: a carrier has one, whichever credentials it
 * shows.
 */
export function callerKeyOf(principal: Principal): string {
  return principal.kind === "carrier" ? `carrier:${principal.carrierId}` : `platform:${principal.identity}`;
}
