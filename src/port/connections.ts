import type { Server, Socket } from "node:net";
import { addressGroup } from "./address-group.ts";
import { Places } from "./places.ts";

/**
 * The connections of a server, counted for each address; those beyond an address's limit are closed
 * as they come.
 */
export class OpenConnections {
  readonly #open = new Map<Socket, Disposable>();
  readonly #places = new Places();
  readonly #maxPerAddress: number;

  constructor(server: Server, maxPerAddress: number) {
    this.#maxPerAddress = maxPerAddress;
    // Before the server's own listener, which need not see a connection that is closed again.
    server.prependListener("connection", (socket) => this.#take(socket));
  }

  /** Closes every connection, of whatever protocol. */
  destroy(): void {
    for (const socket of this.#open.keys()) socket.destroy();
  }

  #take(socket: Socket): void {
    const group = addressGroup(socket.remoteAddress);
    if (this.#places.takenBy(group) >= this.#maxPerAddress) {
      socket.destroy();
      return;
    }
    this.#open.set(socket, this.#places.take(group));
    socket.once("close", () => {
      this.#open.get(socket)?.[Symbol.dispose]();
      this.#open.delete(socket);
    });
  }
}
