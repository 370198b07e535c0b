import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { TandemError } from "../domain/errors.ts";
import { type Health, HealthCheckResponse_ServingStatus as Status } from "../gen/grpc/health/v1/health_pb.js";
import { callerAddressKey } from "./auth.ts";
import { serviceUnknown } from "./errors.ts";

/** Whether this process serves, as grpc.health.v1 tells it. */
export interface HealthState {
  /** From now on NOT_SERVING, for good; told to everyone who watches. */
  stopServing(): void;
  readonly service: ServiceImpl<typeof Health>;
}

/**
 * Begins in SERVING, for the server ("") and each of its services.
 * @param openStream takes the place of a Watch, which anyone may open, for an address; throws TOO_MANY_STREAMS.
 */
export function createHealth(serviceNames: Iterable<string>, openStream: (address: string) => Disposable): HealthState {
  const names = new Set(["", ...serviceNames]);
  const stop = new AbortController();
  const statusOf = (name: string) => {
    if (!names.has(name)) return Status.SERVICE_UNKNOWN;
    return stop.signal.aborted ? Status.NOT_SERVING : Status.SERVING;
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
        const before = statusOf(service);
        yield { status: before };
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
