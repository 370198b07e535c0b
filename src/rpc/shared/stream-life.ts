import type { HandlerContext } from "@connectrpc/connect";
import { draining } from "../../domain/errors.ts";
import type { Limits } from "../../domain/limits.ts";
import type { StreamEnd, StreamLife } from "../../domain/stream-life.ts";
import { type StallWatch, streamEndError } from "../../domain/stream-life.ts";
import { wallMs } from "../../domain/time/wall-clock.ts";
import type { Places } from "../../port/places.ts";
import { principalOf, shownIdentities, watchCredential } from "./access/caller.ts";
import type { CarrierAccess } from "./access/carrier-access.ts";
import { resetKey } from "./calls.ts";

/**
 * How long before its credential expires a stream is ended, milliseconds: time to commit, to
 * acknowledge and to send the reason.
 */
const EXPIRY_MARGIN_MS = 1_000;
/** Node's longest timer. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * A stream's life; dispose it in the handler's `finally` (or `using`), whatever ended the stream.
 */
export interface OpenStreamLife extends StreamLife, Disposable {}

/** What a stream's life depends on. */
export interface StreamSurroundings {
  readonly config: { readonly limits: Limits };
  readonly access: CarrierAccess;
  /** The streams that each carrier has, by method. */
  readonly slots: Places;
  readonly drain: AbortSignal;
}

/**
 * Begins a stream's life: takes the carrier's place for the method, and watches everything that
 * ends a stream: the client's leaving, a drain, its age (drawn between 80 and 120 % of the limit,
 * so that streams opened together do not return together), the credential's expiry or withdrawal,
 * suspension.
 * @throws TandemError TOO_MANY_STREAMS, DRAINING.
 */
export function openStreamLife(
  context: HandlerContext,
  services: StreamSurroundings,
  carrierId: string,
  kind: "feed" | "upload",
): OpenStreamLife {
  if (services.drain.aborted) throw draining();
  const { limits } = services.config;
  const method = `${context.service.typeName}/${context.method.name}`;
  const slot = services.slots.takeWithin(`${method}:${carrierId}`, {
    mostOfOne: kind === "feed" ? limits.maxFeedStreams : limits.maxUploadStreams,
    refusal: (limit) => `the carrier already has ${limit} streams of this method`,
  });
  return new Life(context, services, slot);
}

class Life implements OpenStreamLife {
  readonly #controller = new AbortController();
  readonly #closers = new DisposableStack();
  readonly #reset: () => void;
  #end: StreamEnd | undefined;

  constructor(context: HandlerContext, services: StreamSurroundings, slot: Disposable) {
    const principal = principalOf(context);
    this.#reset = context.values.get(resetKey);
    this.#closers.use(slot);
    this.#closers.use(onAbort(context.signal, () => this.#controller.abort(context.signal.reason)));
    this.#closers.use(onAbort(services.drain, () => this.#finish("DRAINING")));
    const ageMs = services.config.limits.maxStreamAgeMs * (0.8 + 0.4 * Math.random());
    this.#closers.use(after(ageMs, () => this.#finish("MAX_AGE")));
    if (principal.expiresAt !== undefined) {
      const leftMs = Number(principal.expiresAt / 1000n) - wallMs() - EXPIRY_MARGIN_MS;
      this.#closers.use(after(leftMs, () => this.#finish("CREDENTIAL_EXPIRING")));
    }
    this.#closers.use(watchCredential(context, () => this.#finish("CREDENTIAL_EXPIRING")));
    this.#closers.use(services.access.watch(principal, (why) => this.#finish(why), shownIdentities(context)));
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get end(): StreamEnd | undefined {
    return this.#end;
  }

  reset(): void {
    this.#reset();
  }

  [Symbol.dispose](): void {
    this.#closers.dispose();
  }

  #finish(why: StreamEnd): void {
    if (this.#controller.signal.aborted) return;
    this.#end = why;
    this.#controller.abort();
  }
}

function onAbort(signal: AbortSignal, act: () => void): Disposable {
  if (signal.aborted) act();
  else signal.addEventListener("abort", act, { once: true });
  return { [Symbol.dispose]: () => signal.removeEventListener("abort", act) };
}

function after(delayMs: number, act: () => void): Disposable {
  const timer = setTimeout(act, Math.min(Math.max(0, delayMs), MAX_TIMER_MS));
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

/** Ends an export that may not go on: as it gets no trailer, it ends with an error. */
export function assertAlive(life: OpenStreamLife, stall?: StallWatch): void {
  const end = stall?.stalled ? "SLOW_CONSUMER" : life.end;
  if (end) throw streamEndError(end);
  if (life.signal.aborted) throw life.signal.reason;
}
