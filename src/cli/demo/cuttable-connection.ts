import { connect, type Socket } from "node:net";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createTandemTransport } from "../../client/transport.ts";
import { retryUnary } from "../shared/retry-unary.ts";

/** How the demo follows and uploads: who was cut off comes back soon. */
export const DEMO_OPTIONS = {
  retry: { initialDelayMs: 60, maxDelayMs: 500 },
  // The demo cuts the lines itself, and tells so once for all.
  onEvent: () => {},
};

/** A connection to the server whose socket can be torn out, as failing networks do. */
export interface CuttableConnection extends Disposable {
  client<S extends DescService>(service: S): Client<S>;
  /** Destroys the sockets. */
  cut(): void;
}

/** Opens a connection. */
export function openCuttable(url: string, token: string): CuttableConnection {
  const sockets = new Set<Socket>();
  const transport = createTandemTransport({
    baseUrl: url,
    token,
    interceptors: [retryUnary],
    createConnection: ({ hostname, port }) => {
      const socket = connect({ host: hostname, port: Number(port) });
      sockets.add(socket);
      return socket.on("close", () => sockets.delete(socket));
    },
  });
  return {
    client: (service) => createClient(service, transport),
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
    [Symbol.dispose]: () => transport[Symbol.dispose](),
  };
}

/** Cuts a line when a count passes each of some marks. */
export class CutsAt {
  readonly #line: CuttableConnection;
  readonly #marks: number[];

  /** The marks are shares of the total, ascending. */
  constructor(line: CuttableConnection, total: number, shares: readonly number[]) {
    this.#line = line;
    this.#marks = shares.map((share) => Math.max(1, Math.floor(total * share)));
  }

  /**
   * One cut at a time: when several marks were passed at once, the others wait for the next count.
   */
  passed(count: number): void {
    const mark = this.#marks[0];
    if (mark === undefined || count < mark) return;
    this.#marks.shift();
    this.#line.cut();
  }
}

/**
 * How long nothing may move before what is awaited counts as lost, milliseconds. A busy machine is
 * slow, but it moves: this only ends what hangs.
 */
export const STILL_MS = 180_000;

/** A count that only rises, and can be waited for. */
export class RisingCount {
  #value = 0n;
  readonly #waiting = new Set<() => void>();

  get value(): bigint {
    return this.#value;
  }

  raise(value: bigint): void {
    if (value <= this.#value) return;
    this.#value = value;
    for (const wake of [...this.#waiting]) wake();
  }

  /**
   * True once the value is there; false when the signal is aborted first, or the count has not
   * risen for `stillMs`.
   */
  async reaches(value: bigint, signal: AbortSignal, stillMs = STILL_MS): Promise<boolean> {
    let hasRisen = true;
    while (this.#value < value && !signal.aborted && hasRisen) {
      const before = this.#value;
      await this.#moves(signal, stillMs);
      hasRisen = this.#value > before;
    }
    return this.#value >= value;
  }

  #moves(signal: AbortSignal, stillMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      const timer = setTimeout(wake, stillMs);
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }
}
