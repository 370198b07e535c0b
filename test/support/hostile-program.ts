// The hostile carrier and the hostile stranger, in a process of their own: what they cost
// themselves must not be taken for what they cost others.
import { setTimeout as wait } from "node:timers/promises";
import { type Ends, type HostileCarrierOptions, runHostileCarrier } from "./hostile-carrier.ts";
import { type HostileStrangerOptions, runHostileStranger } from "./hostile-stranger.ts";
import { EVENTUALLY_MS } from "./limits.ts";

/** Who is to be hostile from now on; nobody: rest, and say how the calls ended. */
export interface HostileOrder {
  readonly carrier?: HostileCarrierOptions | undefined;
  readonly stranger?: HostileStrangerOptions | undefined;
}

let stop = new AbortController();
let running: Promise<unknown> = Promise.resolve();
let ends: Ends = {};

process.on("message", (order: HostileOrder) => void obey(order));
process.on("disconnect", () => process.exit(0));
process.send?.({});

async function obey({ carrier, stranger }: HostileOrder): Promise<void> {
  stop.abort();
  await running;
  const before = ends;
  ends = {};
  stop = new AbortController();
  running = Promise.all([
    carrier && runHostileCarrier(carrier, ends, stop.signal),
    stranger && runHostileStranger(stranger, ends, stop.signal),
  ]);
  // They are at work once the carrier has had an answer.
  const patience = AbortSignal.timeout(EVENTUALLY_MS);
  while (carrier && !ends["OK"] && !patience.aborted) await wait(20);
  process.send?.(before);
}
