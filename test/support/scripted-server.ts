import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";

/**
 * A server on a real socket that answers as a test tells it to: for what a correct server never
 * does, and for cuts.
 */
export interface ScriptedServer extends AsyncDisposable {
  readonly baseUrl: string;
  /** Destroys every connection, as a failing network does. */
  readonly cut: () => void;
  readonly connectionCount: () => number;
  /** The session opened last. */
  readonly lastSession: () => ServerHttp2Session | undefined;
}

export async function startScriptedServer(routes: (router: ConnectRouter) => void): Promise<ScriptedServer> {
  const server: Http2Server = createServer(connectNodeAdapter({ routes }));
  const sockets = new Set<Socket>();
  let connectionCount = 0;
  let lastSession: ServerHttp2Session | undefined;
  server.on("session", (session) => {
    lastSession = session;
  });
  server.on("connection", (socket: Socket) => {
    connectionCount += 1;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    baseUrl: `http://127.0.0.1:${port}`,
    cut,
    connectionCount: () => connectionCount,
    lastSession: () => lastSession,
    [Symbol.asyncDispose]: async () => {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
