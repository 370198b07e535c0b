import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** What becomes of a COMMIT of an upload's batch. */
export type CommitFault =
  /** The connection is cut before PostgreSQL hears of it: it rolls back. */
  | "cutBefore"
  /** PostgreSQL commits, and the connection is cut when it says so: nobody hears. */
  | "cutAfter"
  /** The connection is cut as soon as COMMIT is on its way: the outcome is open. */
  | "cutAtOnce";

/**
 * A TCP proxy before PostgreSQL that understands as much of the protocol as it takes to find an
 * upload's COMMIT.
 */
export interface PostgresProxy extends AsyncDisposable {
  /** The same database, by way of the proxy. */
  urlOf(databaseUrl: string): string;
  /**
   * Does this to the next COMMITs of transactions that store a batch or seal an upload, one after
   * the other.
   */
  arm(...faults: CommitFault[]): void;
  /** Forgets what is armed and has not happened. */
  disarm(): void;
  /** How many faults have happened. */
  readonly faultCount: number;
  /** Cuts every connection. */
  cutAll(): void;
}

export async function startPostgresProxy(databaseUrl: string): Promise<PostgresProxy> {
  const target = new URL(databaseUrl);
  const armed: CommitFault[] = [];
  const connections = new Set<Connection>();
  let faultCount = 0;
  const takeFault = () => {
    const fault = armed.shift();
    if (fault) faultCount++;
    return fault;
  };
  const server = createServer((client) => {
    const upstream = connect({ host: target.hostname, port: Number(target.port) });
    const connection = new Connection(client, upstream, takeFault);
    connections.add(connection);
    client.once("close", () => connections.delete(connection));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const cutAll = () => {
    for (const connection of connections) connection.cut();
  };
  return {
    urlOf(url) {
      const proxied = new URL(url);
      proxied.hostname = "127.0.0.1";
      proxied.port = String(port);
      return proxied.href;
    },
    arm: (...faults) => {
      armed.push(...faults);
    },
    disarm: () => {
      armed.length = 0;
    },
    get faultCount() {
      return faultCount;
    },
    cutAll,
    async [Symbol.asyncDispose]() {
      cutAll();
      server.close();
      await once(server, "close");
    },
  };
}

const QUERY = "Q".charCodeAt(0);
const PARSE = "P".charCodeAt(0);

class Connection {
  readonly #client: Socket;
  readonly #upstream: Socket;
  readonly #takeFault: () => CommitFault | undefined;
  #pending = Buffer.alloc(0);
  #hasStarted = false;
  #isUpload = false;
  #isMute = false;

  constructor(client: Socket, upstream: Socket, takeFault: () => CommitFault | undefined) {
    this.#client = client;
    this.#upstream = upstream;
    this.#takeFault = takeFault;
    client.on("data", (chunk: Buffer) => this.#forward(chunk));
    upstream.on("data", (chunk: Buffer) => this.#answer(chunk));
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true);
      // Whatever ends one side ends the other; an error is followed by it.
      socket.on("error", () => {});
      socket.on("close", () => this.cut());
    }
  }

  cut(): void {
    this.#client.destroy();
    this.#upstream.destroy();
  }

  // Message by message: a type, except for the first, then the length with itself, then the body.
  #forward(chunk: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    while (true) {
      const header = this.#hasStarted ? 1 : 0;
      if (this.#pending.length < header + 4) return;
      const end = header + this.#pending.readInt32BE(header);
      if (this.#pending.length < end) return;
      const message = this.#pending.subarray(0, end);
      this.#pending = this.#pending.subarray(end);
      this.#hasStarted = true;
      if (header === 0 || this.#mayPass(message)) this.#upstream.write(message);
      if (this.#client.destroyed) return;
    }
  }

  #mayPass(message: Buffer): boolean {
    if (message[0] !== QUERY && message[0] !== PARSE) return true;
    const text = message.toString("latin1", 5);
    if (text.startsWith("BEGIN")) this.#isUpload = false;
    if (/insert into "?upload_batch|update upload set sealed/i.test(text)) this.#isUpload = true;
    const fault = this.#isUpload && text.startsWith("COMMIT") ? this.#takeFault() : undefined;
    if (fault === undefined) return true;
    if (fault === "cutBefore") {
      this.cut();
      return false;
    }
    this.#isMute = true;
    if (fault === "cutAtOnce") this.#upstream.write(message, () => this.cut());
    return fault === "cutAfter";
  }

  #answer(chunk: Buffer): void {
    if (this.#isMute) this.cut();
    else this.#client.write(chunk);
  }
}
