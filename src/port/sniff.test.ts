import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { routeByPreface } from "./sniff.ts";

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

test("knows HTTP/2 by its preface, also when it comes byte by byte, and loses nothing of it", async () => {
  await using server = await startRouter();
  for (const parts of [[`${PREFACE}rest`], [...PREFACE, "rest"], [PREFACE.slice(0, 3), PREFACE.slice(3), "rest"]]) {
    using client = await server.open();
    expect(await client.say(parts, PREFACE.length + 4)).toBe(`http2:${PREFACE}rest`);
  }
});

test("knows HTTP/1.1 by the first byte that differs, also when that comes late", async () => {
  await using server = await startRouter();
  for (const parts of [
    ["GET / HTTP/1.1\r\n"],
    ["P", "OST /x"],
    ["PR", "OPFIND / HTTP/1.1"],
    ["PRI * HTTP/2.0\r\n", "\r\nSN"],
  ]) {
    using client = await server.open();
    const text = parts.join("");
    expect(await client.say(parts, text.length)).toBe(`http1:${text}`);
  }
});

test("closes a connection that does not say in time what it is", async () => {
  await using server = await startRouter(40);
  for (const start of ["", "PRI * HT"]) {
    using client = await server.open();
    if (start) client.socket.write(start);
    await once(client.socket, "close");
  }
});

test("closes a connection that ends before it has said what it is", async () => {
  await using server = await startRouter();
  using client = await server.open();
  client.socket.end("PRI");
  await once(client.socket, "close");
});

/** Answers each connection with its route and everything that the route reads. */
async function startRouter(limitMs = 10_000) {
  const answer = (route: string, socket: Socket) => {
    socket.write(`${route}:`);
    socket.on("data", (chunk) => socket.write(chunk));
    socket.on("end", () => socket.end());
  };
  // Half-open, as node:http has it.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    routeByPreface(socket, limitMs, { http1: () => answer("http1", socket), http2: () => answer("http2", socket) });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    open: async () => {
      const socket = connect({ port, host: "127.0.0.1", noDelay: true });
      await once(socket, "connect");
      return {
        socket,
        say: (parts: string[], length: number) => say(socket, parts, length),
        [Symbol.dispose]: () => void socket.destroy(),
      };
    },
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, "close");
    },
  };
}

async function say(socket: Socket, parts: string[], length: number): Promise<string> {
  for (const part of parts) {
    await new Promise((resolve) => socket.write(part, resolve));
    // A turn of the event loop, so that the other side reads the parts one by one.
    await new Promise((resolve) => setImmediate(resolve));
  }
  let heard = "";
  for await (const chunk of socket) {
    heard += chunk;
    if (heard.length >= "http1:".length + length) break;
  }
  return heard;
}
