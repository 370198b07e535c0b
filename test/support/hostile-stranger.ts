import { connect, type Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { Health } from "../../src/gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "../../src/gen/grpc/reflection/v1/reflection_pb.js";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { connectFrom, type Ends, endOf, type HostileOptions } from "./hostile-carrier.ts";

export interface HostileStrangerOptions extends HostileOptions {
  /** One that was genuine. */
  readonly expiredToken: string;
  /** Connections that it holds open besides: more than it may have. */
  readonly connections: number;
}

/** Calls at once, of each kind. */
const CALLS = 4;
/** Between two calls of one line, milliseconds. */
const REST_MS = 5;
const PATIENCE_MS = 20_000;
const DRIP_MS = 200;

/**
 * Does what anyone can who reaches the port, until the signal aborts: health, reflection, tokens
 * that are none, tokens that have expired, bodies that come a byte at a time, and connections that
 * say nothing.
 */
export async function runHostileStranger(
  options: HostileStrangerOptions,
  ends: Ends,
  stop: AbortSignal,
): Promise<void> {
  await using resources = new AsyncDisposableStack();
  const clientOf = (token: string) => resources.use(connectFrom(options, token));
  const [anyone, expired, forger] = [
    clientOf("none"),
    clientOf(options.expiredToken),
    clientOf("bm9uZQ.bm9uZQ.bm9uZQ"),
  ];
  const health = createClient(Health, anyone);
  const reflection = createClient(ServerReflection, anyone);
  const ask = async function* () {
    yield { messageRequest: { case: "listServices", value: "" } } as const;
  };
  const read = { name: { case: "recordId", value: "bravo-0" } } as const;
  const kinds: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
    health: (signal) => health.check({}, { signal }),
    watch: (signal) => health.watch({}, { signal })[Symbol.asyncIterator]().next(),
    reflection: (signal) => Array.fromAsync(reflection.serverReflectionInfo(ask(), { signal })),
    expired: (signal) => createClient(CdrService, expired).getCdr(read, { signal }),
    forged: (signal) => createClient(CdrService, forger).getCdr(read, { signal }),
  };
  const line = async (name: string, call: (signal: AbortSignal) => Promise<unknown>) => {
    while (!stop.aborted) {
      const one = new AbortController();
      const end = `${name} ${await endOf(call(AbortSignal.any([stop, one.signal, AbortSignal.timeout(PATIENCE_MS)])))}`;
      one.abort();
      ends[end] = (ends[end] ?? 0) + 1;
      await wait(REST_MS, undefined, { signal: stop }).catch(() => {});
    }
  };
  // First its calls have their connections, and then it takes all that are left to its address.
  await Promise.all(
    Object.values(kinds).map((call) => endOf(call(AbortSignal.any([stop, AbortSignal.timeout(PATIENCE_MS)])))),
  );
  const sockets = Array.from({ length: options.connections }, (_, index) => holdConnection(options, index % 2 === 0));
  resources.defer(() => {
    for (const socket of sockets) socket.destroy();
  });
  await Promise.all([
    ...Object.entries(kinds).flatMap(([name, call]) => Array.from({ length: CALLS }, () => line(name, call))),
    drip(sockets, stop),
  ]);
}

// Every other begins a request whose body never comes to its end.
function holdConnection({ url, localAddress }: HostileOptions, begins: boolean): Socket {
  const { hostname, port, host } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), localAddress });
  socket.on("error", () => {});
  socket.resume();
  const head = `POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\ncontent-length: 4000\r\n\r\n`;
  if (begins) socket.write(head);
  return socket;
}

async function drip(sockets: readonly Socket[], stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    for (const [index, socket] of sockets.entries()) if (index % 2 === 0 && socket.writable) socket.write(" ");
    await wait(DRIP_MS, undefined, { signal: stop }).catch(() => {});
  }
}
