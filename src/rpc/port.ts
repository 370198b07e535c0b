import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer as createHttp1Server, type Server as Http1Server } from "node:http";
import {
  createServer as createHttp2Server,
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
  type ServerOptions,
} from "node:http2";
import type { AddressInfo, Server as NetServer, Socket } from "node:net";
import { watchSession } from "./session-watch.ts";
import { routeByPreface } from "./sniff.ts";

const MIB = 1024 * 1024;
/** How much a client may send on one stream, and on one connection, before it waits for us. Node's 64 KiB would cap a stream at 64 KiB a round trip. */
const STREAM_WINDOW_BYTES = MIB;
const CONNECTION_WINDOW_BYTES = 8 * MIB;
const MAX_CONCURRENT_STREAMS = 250;
const MAX_CONNECTIONS = 10_000;
const MAX_HEADER_BYTES = 16 * 1024;
/** For a TLS handshake, the first bytes of a connection, and the headers of a request. */
const FIRST_BYTES_MS = 10_000;
/** For the whole of an HTTP/1.1 request; a response may take as long as it likes. */
const HTTP1_REQUEST_MS = 120_000;
const HTTP1_IDLE_MS = 75_000;

export type PortRequest = IncomingMessage | Http2ServerRequest;
export type PortResponse = ServerResponse | Http2ServerResponse;

export interface PortOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Undefined: cleartext. */
  readonly tls: { readonly cert: Buffer; readonly key: Buffer; readonly clientCa: Buffer | undefined } | undefined;
  /** How often HTTP/2 connections are pinged, milliseconds; one that misses three is dead. */
  readonly pingIntervalMs: number;
  /** Must not throw. */
  readonly handle: (request: PortRequest, response: PortResponse) => void;
}

/** An open port. */
export interface Port {
  readonly port: number;
  /** Takes no new connections and no new calls on those that are open, and closes what is idle. Calls in flight go on. */
  stopAccepting(): void;
  /** Resolves when every HTTP/2 connection is closed, or the time is over. */
  untilQuiet(limitMs: number): Promise<void>;
  /** Ends everything that is still open. Resolves when the port is free. */
  destroy(): Promise<void>;
}

/** Opens one port for HTTP/2 and HTTP/1.1: with TLS the client chooses by ALPN, without it by its first bytes. */
export async function openPort(options: PortOptions): Promise<Port> {
  const server = options.tls ? createTlsServer(options, options.tls) : createCleartextServer(options);
  server.net.maxConnections = MAX_CONNECTIONS;
  const sessions = new Set<ServerHttp2Session>();
  server.http2.on("session", (session: ServerHttp2Session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    watchSession(session, { firstFrameMs: FIRST_BYTES_MS, pingIntervalMs: options.pingIntervalMs });
  });
  server.net.listen(options.port, options.host);
  await once(server.net, "listening");
  const { port } = server.net.address() as AddressInfo;
  let closed: Promise<unknown> | undefined;
  const stopAccepting = () => {
    if (closed) return;
    closed = once(server.net, "close");
    server.net.close();
    // A GOAWAY that names the last stream taken: what a client has begun after it was not processed and may be repeated. (The gentler first
    // GOAWAY of RFC 9113, 6.8, is out of reach: Node takes no stream after any.)
    for (const session of sessions) session.close();
  };
  return {
    port,
    stopAccepting,
    untilQuiet: async (limitMs) => {
      const deadline = AbortSignal.timeout(limitMs);
      for (let [session] = sessions; session && !deadline.aborted; [session] = sessions) {
        await once(session, "close", { signal: deadline }).catch(() => {});
      }
    },
    destroy: async () => {
      stopAccepting();
      for (const session of sessions) session.destroy();
      server.destroyConnections();
      await closed;
    },
  };
}

interface Http12Server {
  /** Listens. */
  readonly net: NetServer;
  /** Emits the sessions. */
  readonly http2: NodeJS.EventEmitter;
  /** Ends every connection that is open, of whatever protocol. */
  destroyConnections(): void;
}

const http2Options: ServerOptions = {
  settings: {
    initialWindowSize: STREAM_WINDOW_BYTES,
    maxConcurrentStreams: MAX_CONCURRENT_STREAMS,
    maxHeaderListSize: MAX_HEADER_BYTES,
    enablePush: false,
  },
  // In megabytes; the default of 10 would refuse streams while a few large messages wait to be read.
  maxSessionMemory: 64,
};

function createTlsServer(options: PortOptions, tls: NonNullable<PortOptions["tls"]>): Http12Server {
  const server = createSecureServer(
    {
      ...http2Options,
      allowHTTP1: true,
      maxHeaderSize: MAX_HEADER_BYTES,
      cert: tls.cert,
      key: tls.key,
      minVersion: "TLSv1.2",
      handshakeTimeout: FIRST_BYTES_MS,
      // Asked for, not required: a caller may have a token instead. Whether it is trusted is judged with the call.
      ...(tls.clientCa ? { ca: tls.clientCa, requestCert: true, rejectUnauthorized: false } : {}),
    } as Parameters<typeof createSecureServer>[0],
    options.handle,
  );
  const connections = trackConnections(server);
  setHttp1Timeouts(server as unknown as Http1Server);
  return { net: server, http2: server, destroyConnections: connections.destroy };
}

function createCleartextServer(options: PortOptions): Http12Server {
  const http1 = createHttp1Server({ maxHeaderSize: MAX_HEADER_BYTES }, options.handle);
  const http2 = createHttp2Server(http2Options, options.handle);
  setHttp1Timeouts(http1);
  // The HTTP/1.1 server listens, so that its own bookkeeping of connections and timeouts works; its connections are looked at first.
  const [serveHttp1] = http1.listeners("connection");
  http1.removeAllListeners("connection");
  const connections = trackConnections(http1);
  http1.on("connection", (socket) =>
    routeByPreface(socket, FIRST_BYTES_MS, {
      http1: () => serveHttp1?.call(http1, socket),
      http2: () => {
        // HTTP/1.1 keeps a connection open that the client has closed; an HTTP/2 session would then wait for a dead client's windows until it is pinged.
        socket.allowHalfOpen = false;
        http2.emit("connection", socket);
      },
    }),
  );
  return { net: http1, http2, destroyConnections: connections.destroy };
}

function setHttp1Timeouts(server: Pick<Http1Server, "headersTimeout" | "requestTimeout" | "keepAliveTimeout">): void {
  server.headersTimeout = FIRST_BYTES_MS;
  server.requestTimeout = HTTP1_REQUEST_MS;
  server.keepAliveTimeout = HTTP1_IDLE_MS;
}

function trackConnections(server: NetServer): { destroy: () => void } {
  const open = new Set<Socket>();
  server.on("connection", (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  });
  return {
    destroy: () => {
      for (const socket of open) socket.destroy();
    },
  };
}
