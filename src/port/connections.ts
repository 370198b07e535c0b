import type { Server, Socket } from "node:net";
import { addressGroup } from "./address-group.ts";

/**
 * The connections of a server, counted for each address; those beyond an address's limit are closed
 * as they come.
 */
export class OpenConnections {
  readonly #open = new Set<Socket>();
  readonly #counts = new Map<string, number>();
  readonly #maxPerAddress: number;

  constructor(server: Server, maxPerAddress: number) {
    this.#maxPerAddress = maxPerAddress;
    // Before the server's own listener, which need not know of a connection that is closed again.
    server.prependListener("connection", (socket) => this.#take(socket));
  }

  /** Closes every connection, of whatever protocol. */
  destroy(): void {
    for (const socket of this.#open) socket.destroy();
  }

  #take(socket: Socket): void {
    const group = addressGroup(socket.remoteAddress);
    const count = this.#counts.get(group) ?? 0;
    if (count >= this.#maxPerAddress) {
      socket.destroy();
      return;
    }
    this.#open.add(socket);
    this.#counts.set(group, count + 1);
    socket.once("close", () => {
      this.#open.delete(socket);
      this.#release(group);
    });
  }

  #release(group: string): void {
    const count = (this.#counts.get(group) ?? 1) - 1;
    if (count > 0) this.#counts.set(group, count);
    else this.#counts.delete(group);
  }
}
