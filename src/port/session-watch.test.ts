import { once } from "node:events";
import { connect as connectHttp2, createServer, type ServerHttp2Session } from "node:http2";
import { type AddressInfo, connect, type Socket } from "node:net";
import { expect, test } from "vitest";
import { watchSession } from "./session-watch.ts";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const EMPTY_SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);

test("a connection that says nothing is closed", async () => {
  await using server = await startServer({ firstBytesMs: 50, pingIntervalMs: 60_000, idleMs: 60_000 });
  const socket = await server.connect();
  socket.write(PREFACE);
  await ended(socket);
});

test("a peer that answers no ping is held to be dead", async () => {
  await using server = await startServer({ firstBytesMs: 10_000, pingIntervalMs: 20, idleMs: 60_000 });
  const socket = await server.connect();
  socket.write(Buffer.concat([PREFACE, EMPTY_SETTINGS]));
  const startedMs = Date.now();
  await ended(socket);
  expect(Date.now() - startedMs).toBeGreaterThanOrEqual(55);
});

test("a peer that answers is left alone, however quiet", async () => {
  await using server = await startServer({ firstBytesMs: 50, pingIntervalMs: 10, idleMs: 60_000 });
  const session = connectHttp2(server.url);
  let pings = 0;
  const heard = Promise.withResolvers<void>();
  session.on("ping", () => {
    pings += 1;
    if (pings === 20) heard.resolve();
  });
  await heard.promise;
  expect(session.destroyed).toBe(false);
  session.close();
});

async function startServer(limits: Parameters<typeof watchSession>[1]) {
  const server = createServer();
  const sockets: Socket[] = [];
  server.on("session", (session: ServerHttp2Session) => watchSession(session, limits));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    connect: async () => {
      const socket = connect(port, "127.0.0.1");
      sockets.push(socket);
      await once(socket, "connect");
      return socket;
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

async function ended(socket: Socket): Promise<void> {
  socket.resume();
  socket.on("error", () => {});
  await once(socket, "close");
}
