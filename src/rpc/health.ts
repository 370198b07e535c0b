import { setTimeout as wait } from "node:timers/promises";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { TandemError } from "../domain/errors.ts";
import { type Health, HealthCheckResponse_ServingStatus as Status } from "../gen/grpc/health/v1/health_pb.js";
import { callerAddressKey } from "./auth.ts";
import { serviceUnknown } from "./errors.ts";

/** Between two looks at a condition that is watched, milliseconds. */
const LOOK_MS = 500;

/** The name under which health tells whether the database is on the timeline that was confirmed. */
export const TIMELINE_HEALTH = "tandem.database.timeline";

/** Whether this process serves, as grpc.health.v1 tells it. */
export interface HealthState {
  /** From now on NOT_SERVING, for good; told to everyone who watches. */
  stopServing(): void;
  readonly service: ServiceImpl<typeof Health>;
}

/**
 * Begins in SERVING, for the server ("") and each of its services.
 * @param conditions further names, each SERVING while its condition holds; none of them changes what the other names say.
 * @param openStream takes the place of a Watch, which anyone may open, for an address; throws TOO_MANY_STREAMS.
 */
export function createHealth(
  serviceNames: Iterable<string>,
  openStream: (address: string) => Disposable,
  conditions: ReadonlyMap<string, () => boolean> = new Map(),
): HealthState {
  const names = new Set(["", ...serviceNames, ...conditions.keys()]);
  const stop = new AbortController();
  const statusOf = (name: string) => {
    if (!names.has(name)) return Status.SERVICE_UNKNOWN;
    const isGood = !stop.signal.aborted && (conditions.get(name)?.() ?? true);
    return isGood ? Status.SERVING : Status.NOT_SERVING;
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
        let before = statusOf(service);
        yield { status: before };
        while (conditions.has(service) && !stop.signal.aborted && !context.signal.aborted) {
          await wait(LOOK_MS, undefined, { signal: AbortSignal.any([stop.signal, context.signal]) }).catch(() => {});
          if (stop.signal.aborted || statusOf(service) === before) continue;
          before = statusOf(service);
          yield { status: before };
        }
        await aborted(stop.signal, context.signal);
        if (!stop.signal.aborted) return;
        if (statusOf(service) !== before) yield { status: statusOf(service) };
        throw new TandemError("DRAINING", "the server is shutting down");
      },
    },
  };
}

/** Resolves when either signal has aborted. */
function aborted(one: AbortSignal, other: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      one.removeEventListener("abort", done);
      other.removeEventListener("abort", done);
      resolve();
    };
    one.addEventListener("abort", done);
    other.addEventListener("abort", done);
    if (one.aborted || other.aborted) done();
  });
}
