import { connect, type Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { createTandemTransport } from "../../client/transport.ts";
import { retryUnary } from "../shared/retry-unary.ts";

/** How the demo follows and uploads: who was cut off comes back soon. */
export const DEMO_OPTIONS = {
  retry: { initialDelayMs: 60, maxDelayMs: 500 },
  // The demo cuts the lines itself, and tells so once for all.
  onEvent: () => {},
};

/** A line to the server that can be cut, as failing networks do. */
export interface Line extends Disposable {
  /** Ends what is done over the line. */
  readonly signal: AbortSignal;
  client<S extends DescService>(service: S): Client<S>;
  /** Destroys the sockets. */
  cut(): void;
}

export function openLine(url: string, token: string, signal: AbortSignal): Line {
  const sockets = new Set<Socket>();
  const transport = createTandemTransport({
    baseUrl: url,
    token,
    interceptors: [endedBy(signal), retryUnary],
    createConnection: ({ hostname, port }) => {
      const socket = connect({ host: hostname, port: Number(port) });
      sockets.add(socket);
      return socket.on("close", () => sockets.delete(socket));
    },
  });
  return {
    signal,
    client: (service) => createClient(service, transport),
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
    [Symbol.dispose]: () => transport[Symbol.dispose](),
  };
}

function endedBy(signal: AbortSignal): Interceptor {
  return (next) => (request) => next({ ...request, signal: AbortSignal.any([request.signal, signal]) });
}

/**
 * Cuts a line when a count passes certain shares of the total, which ascend. If a count passes
 * several at once, only the first cut is made; the others wait for the next count.
 */
export function cutsAt(line: Line, total: number, shares: readonly number[]): (count: number) => void {
  const marks = shares.map((share) => Math.max(1, Math.floor(total * share)));
  return (count) => {
    if (marks[0] === undefined || count < marks[0]) return;
    marks.shift();
    line.cut();
  };
}

/** How long nothing may move before it counts as lost, milliseconds. This only ends what hangs. */
export const STILL_MS = 180_000;
const POLL_MS = 100;

/** What is awaited, and how it moves. */
export interface Awaited<Found> {
  readonly isDone: (found: Found) => boolean;
  /** A text that changes as the work goes on. */
  readonly progressOf: (found: Found) => string;
  readonly signal: AbortSignal;
  /** Default: STILL_MS. */
  readonly stillMs?: number;
}

/**
 * Reads until what was read is done, or has not moved for long.
 * @returns what was read last.
 */
export async function untilDone<Found>(
  read: () => Found | Promise<Found>,
  { isDone, progressOf, signal, stillMs = STILL_MS }: Awaited<Found>,
): Promise<Found> {
  let seen: string | undefined;
  let movedMs = 0;
  for (;;) {
    const found = await read();
    const progress = progressOf(found);
    if (progress !== seen) movedMs = performance.now();
    seen = progress;
    if (isDone(found) || performance.now() - movedMs > stillMs) return found;
    await wait(POLL_MS, undefined, { signal });
  }
}
