import type { IncomingMessage, ServerResponse } from "node:http";

/**
 * How much of a request is read after it has been answered, bytes, and for how long, milliseconds.
 */
const MAX_REST_BYTES = 1_048_576;
const MAX_REST_MS = 5_000;

/**
 * Over HTTP/1.1 the next call on a connection begins where the request before it ends. If the
 * answer comes first, the rest of the request is read and dropped, so that a proxy can give the
 * connection to somebody else; Node does so only if nobody began to read. A client that sends on
 * without an end loses its connection.
 */
export function dropRestOnceAnswered(request: IncomingMessage, response: ServerResponse): void {
  response.once("finish", () => {
    if (!request.complete && !request.destroyed) dropRest(request);
  });
}

function dropRest(request: IncomingMessage): void {
  let left = MAX_REST_BYTES;
  const giveUp = () => request.destroy();
  const timer = setTimeout(giveUp, MAX_REST_MS);
  request.once("close", () => clearTimeout(timer));
  request.once("end", () => clearTimeout(timer));
  // Whoever waited for more of it has been answered. While a `readable` listener is there, a stream
  // does not flow.
  request.removeAllListeners("readable");
  request.on("error", () => {});
  request.on("data", (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) giveUp();
  });
  request.resume();
}
