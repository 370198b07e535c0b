import { AsyncLocalStorage } from "node:async_hooks";

/** For whom the database is asked: a connection counts to the share of the one who asks. */
export type Caller = (
  | { readonly kind: "carrier"; readonly carrierId: string }
  | { readonly kind: "platform"; readonly identity: string }
  /** Every job of this process, and whatever has no caller, such as the start. */
  | { readonly kind: "jobs" }
  /** What everybody depends on, and what has a connection of its own. */
  | { readonly kind: "own"; readonly work: OwnWork }
) & {
  /** Of a call: once it aborts, nothing of the call waits for a connection any more. */
  readonly signal?: AbortSignal | undefined;
  /** Of a call that nobody watches: how it was judged. */
  readonly judged?: Judged | undefined;
};

/** How a call was judged that is to be served. */
export interface Judged {
  /** When it was found good last, by performance.now(). */
  readonly atMs: number;
  /** Judges it once more. Rejects when it may no longer be served. */
  again(): Promise<void>;
}

export type CallerKind = Caller["kind"];

/** Work on a connection of its own. `access` is who is served, and the watch of it. */
export type OwnWork = "hub" | "timeline" | "access" | "health" | "seal keys" | "sign of life";

/** Callers that share one line and one share have the same key. */
export function callerKey(caller: Caller): string {
  switch (caller.kind) {
    case "carrier":
      return `carrier:${caller.carrierId}`;
    case "platform":
      return `platform:${caller.identity}`;
    case "jobs":
      return "jobs";
    case "own":
      return `own:${caller.work}`;
    default:
      return caller satisfies never;
  }
}

/** Who calls becomes known only after a call has begun. */
interface Slot {
  find: () => Caller | undefined;
}

const slots = new AsyncLocalStorage<Slot | undefined>();

/** The caller of the present work; undefined: nobody was named. */
export function currentCaller(): Caller | undefined {
  return slots.getStore()?.find();
}

/** Names the caller of everything that `run` starts. */
export function asCaller<T>(caller: Caller | undefined, run: () => T): T {
  return slots.run({ find: () => caller }, run);
}

/** Names work of this process itself that has a connection of its own. */
export function asOwn<T>(work: OwnWork, run: () => T): T {
  return asCaller({ kind: "own", work }, run);
}

/** Runs a call whose caller `nameCaller` tells later. */
export function inCall<T>(run: () => T): T {
  return slots.run({ find: () => undefined }, run);
}

const ENDED = AbortSignal.abort();

function asEnded(caller: Caller | undefined): Caller | undefined {
  return caller && { ...caller, signal: ENDED, judged: undefined };
}

// A function of its own, so that it keeps nothing else of where it was made.
function constant<T>(value: T): () => T {
  return () => value;
}

/**
 * Tells how to find the caller of the current call: only a judged credential names it.
 * @param signal aborts when the call ends. Then only the caller is kept of the call: timers
 *   remember where they were begun, and may live far longer.
 */
export function nameCaller(find: () => Caller | undefined, signal: AbortSignal): void {
  const slot = slots.getStore();
  if (!slot) return;
  slot.find = find;
  const letGo = () => {
    slot.find = constant(asEnded(find()));
  };
  if (signal.aborted) letGo();
  else signal.addEventListener("abort", letGo, { once: true });
}

/** Runs what others wait for too, or what must be finished once begun. It counts to the caller. */
export function outlivingCall<T>(run: () => T, caller: Caller | undefined = currentCaller()): T {
  return asCaller(caller && { ...caller, signal: undefined, judged: undefined }, run);
}

/**
 * Runs what the call itself finishes, even without its client. A call that waits is still judged.
 */
export function finishingCall<T>(run: () => T, caller: Caller | undefined = currentCaller()): T {
  return asCaller(caller && { ...caller, signal: undefined }, run);
}

/** Runs what outlives every call, so that it does not keep the call that happened to start it. */
export function outsideCalls<T>(run: () => T): T {
  return slots.run(undefined, run);
}
