import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { draining } from "../domain/errors.ts";
import { type Health, HealthCheckResponse_ServingStatus as Status } from "../gen/grpc/health/v1/health_pb.js";
import { callerAddressKey } from "./shared/access/caller.ts";
import { serviceUnknown } from "./shared/errors.ts";

/** The name under which health tells whether the database is on the timeline that was confirmed. */
export const TIMELINE_HEALTH = "tandem.database.timeline";

/** Whether what a name of health stands on is there. */
export interface Footing {
  /** Of the database: whether it answers. */
  readonly answers: boolean;
  /** Has a listener told of each change, until it is disposed. */
  watch(listener: () => void): Disposable;
}

const FIRM: Footing = { answers: true, watch: () => ({ [Symbol.dispose]: () => {} }) };

/** Whether this process serves, as grpc.health.v1 tells it. */
export interface HealthState {
  /** From now on NOT_SERVING, for good; told to everyone who watches. */
  stopServing(): void;
  readonly service: ServiceImpl<typeof Health>;
}

/** What health rests on. */
export interface HealthFootings {
  /**
   * Of the server and each of its services. Undefined: nobody asks the database, and it is held to
   * answer.
   */
  readonly footing?: Footing | undefined;
  /**
   * Further names, each with a footing of its own besides; none of them changes what the other
   * names say.
   */
  readonly conditions?: ReadonlyMap<string, Footing> | undefined;
}

/**
 * SERVING for the server ("") and each of its services, for as long as the database answers: none
 * of them works without it.
 * @param openStream takes the place of a Watch, which anyone may open, for an address; throws
 *   TOO_MANY_STREAMS.
 */
export function createHealth(
  serviceNames: Iterable<string>,
  openStream: (address: string) => Disposable,
  { footing = FIRM, conditions = new Map() }: HealthFootings = {},
): HealthState {
  const names = new Set(["", ...serviceNames, ...conditions.keys()]);
  const stop = new AbortController();
  const footingsOf = (name: string) => [footing, conditions.get(name) ?? FIRM];
  const statusOf = (name: string) => {
    if (!names.has(name)) return Status.SERVICE_UNKNOWN;
    const isThere = footingsOf(name).every(({ answers }) => answers);
    return stop.signal.aborted || !isThere ? Status.NOT_SERVING : Status.SERVING;
  };
  return {
    stopServing: () => stop.abort(),
    service: {
      check: ({ service }) => {
        if (!names.has(service)) throw serviceUnknown(service);
        return { status: statusOf(service) };
      },
      list: () => ({ statuses: Object.fromEntries([...names].map((name) => [name, { status: statusOf(name) }])) }),
      async *watch({ service }, context: HandlerContext) {
        using _place = openStream(context.values.get(callerAddressKey));
        let told: Status | undefined;
        for (;;) {
          const status = statusOf(service);
          if (status !== told) yield { status };
          told = status;
          if (stop.signal.aborted) throw draining();
          // It may have changed while the status was sent.
          if (statusOf(service) === told) await changedOrAborted(footingsOf(service), stop.signal, context.signal);
          if (context.signal.aborted) return;
        }
      },
    },
  };
}

/** Resolves when something has changed, or a signal has aborted. */
async function changedOrAborted(footings: readonly Footing[], ...signals: AbortSignal[]): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  using watches = new DisposableStack();
  for (const footing of footings) watches.use(footing.watch(resolve));
  const done = () => resolve();
  for (const signal of signals) signal.addEventListener("abort", done);
  if (signals.some((signal) => signal.aborted)) resolve();
  await promise;
  for (const signal of signals) signal.removeEventListener("abort", done);
}
