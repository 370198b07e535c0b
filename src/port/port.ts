import { constants as cryptoConstants } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer as createHttp1Server, type Server as Http1Server } from "node:http";
import {
  createServer as createHttp2Server,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
  type ServerOptions,
} from "node:http2";
import { createServer as createHttpsServer, type Server as HttpsServer } from "node:https";
import type { AddressInfo, Server as NetServer, Socket } from "node:net";
import type { SecureContextOptions } from "node:tls";
import { parseCertificates } from "../trust/certificates.ts";
import { OpenConnections } from "./connections.ts";
import { type SessionLimits, watchSession } from "./session-watch.ts";
import { routeByPreface } from "./sniff.ts";

const MIB = 1024 * 1024;
/**
 * How much a client may send on one stream, and on one connection, before it waits for us. With
 * Node's 64 KiB a stream could send 64 KiB a round trip.
 */
const STREAM_WINDOW_BYTES = MIB;
const CONNECTION_WINDOW_BYTES = 8 * MIB;
const MAX_CONCURRENT_STREAMS = 250;
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_HEADER_COUNT = 128;
/**
 * How often HTTP/1.1 connections are checked for late headers and bodies; more often if the limits
 * are short.
 */
const HTTP1_CHECK_MS = 2_000;

/** What one connection may cost before it is closed. */
export interface ConnectionLimits extends SessionLimits {
  /** Most connections at once; those beyond are closed. Default 10,000. */
  readonly maxConnections: number;
  /** Most connections at once from one address (of IPv6, one /64 network). Default 1,000. */
  readonly maxConnectionsPerAddress: number;
  /**
   * For a whole HTTP/1.1 request, milliseconds; a response may take as long as it likes. Default
   * 120,000.
   */
  readonly http1RequestMs: number;
  /**
   * How long an HTTP/1.1 connection may be idle between two requests, milliseconds. Default 75,000.
   */
  readonly http1IdleMs: number;
}

export const DEFAULT_CONNECTION_LIMITS: ConnectionLimits = {
  maxConnections: 10_000,
  maxConnectionsPerAddress: 1_000,
  firstBytesMs: 10_000,
  pingIntervalMs: 15_000,
  idleMs: 600_000,
  http1RequestMs: 120_000,
  http1IdleMs: 75_000,
};

export type PortRequest = IncomingMessage | Http2ServerRequest;
export type PortResponse = ServerResponse | Http2ServerResponse;

export interface PortOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Undefined: cleartext. */
  readonly tls: PortTls | undefined;
  readonly connections: ConnectionLimits;
  /** Must not throw. */
  readonly handle: (request: PortRequest, response: PortResponse) => void;
}

/**
 * PEM of the server's certificate chain, its key, and the authorities of client certificates;
 * without those none is asked for.
 */
export interface PortTls {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly clientCa: Buffer | undefined;
}

/** An open port. */
export interface Port {
  readonly port: number;
  /**
   * Shows another certificate, and asks for clients' certificates of other authorities, from the
   * next connection on.
   */
  setTls(tls: PortTls): void;
  /**
   * Takes no new connections and no new calls on those that are open, and closes what is idle.
   * Calls in flight go on.
   */
  stopAccepting(): void;
  /** Resolves when every HTTP/2 connection is closed, or the time is over. */
  untilQuiet(limitMs: number): Promise<void>;
  /** Ends everything that is still open. Resolves when the port is free. */
  destroy(): Promise<void>;
}

/**
 * Opens one port for HTTP/2 and HTTP/1.1: with TLS the client chooses by ALPN, without it by its
 * first bytes.
 */
export async function openPort(options: PortOptions): Promise<Port> {
  const server = options.tls ? createTlsServer(options, options.tls) : createCleartextServer(options);
  server.net.maxConnections = options.connections.maxConnections;
  const connections = new OpenConnections(server.net, options.connections.maxConnectionsPerAddress);
  const sessions = new Set<ServerHttp2Session>();
  server.http2.on("session", (session: ServerHttp2Session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    watchSession(session, options.connections);
  });
  server.net.listen(options.port, options.host);
  await once(server.net, "listening");
  const { port } = server.net.address() as AddressInfo;
  let closed: Promise<unknown> | undefined;
  const stopAccepting = () => {
    if (closed) return;
    closed = once(server.net, "close");
    server.net.close();
    // A GOAWAY that names the last stream taken: what a client has begun after it was not processed
    // and may be repeated. (The gentler first GOAWAY of RFC 9113, 6.8, is out of reach: Node takes
    // no stream after any.)
    for (const session of sessions) session.close();
  };
  return {
    port,
    setTls: (tls) => server.setTls(tls),
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
      connections.destroy();
      await closed;
    },
  };
}

interface Http12Server {
  /** Listens. */
  readonly net: NetServer;
  /** Emits the sessions. */
  readonly http2: Http2Server;
  setTls(tls: PortTls): void;
}

const http2Options: ServerOptions = {
  settings: {
    initialWindowSize: STREAM_WINDOW_BYTES,
    maxConcurrentStreams: MAX_CONCURRENT_STREAMS,
    maxHeaderListSize: MAX_HEADER_BYTES,
    enablePush: false,
  },
  maxHeaderListPairs: MAX_HEADER_COUNT,
  // In megabytes; the default of 10 would refuse streams while a few large messages wait to be
  // read.
  maxSessionMemory: 64,
};

// The HTTP/1.1 server listens in both, so that its own bookkeeping of connections and timeouts
// works; its connections are looked at first.

function createTlsServer(options: PortOptions, tls: PortTls): Http12Server {
  const https: HttpsServer = createHttpsServer(
    {
      ...http1Options(options.connections),
      ...secureContext(tls),
      ALPNProtocols: ["h2", "http/1.1"],
      handshakeTimeout: options.connections.firstBytesMs,
      // Requested, not required: a caller may have a token instead. Trust is judged with the call.
      ...(tls.clientCa ? { requestCert: true, rejectUnauthorized: false } : {}),
    },
    options.handle,
  );
  setHttp1Timeouts(https, options.connections);
  const http2 = createHttp2Server(http2Options, limitHeaders(options.handle));
  const serveHttp1 = takeListener(https, "secureConnection");
  https.on("secureConnection", (socket) => {
    if (socket.alpnProtocol === "h2") http2.emit("connection", socket);
    else serveHttp1(socket);
  });
  return { net: https, http2, setTls: (next) => https.setSecureContext(secureContext(next)) };
}

function createCleartextServer(options: PortOptions): Http12Server {
  const http1 = createHttp1Server(http1Options(options.connections), options.handle);
  setHttp1Timeouts(http1, options.connections);
  const http2 = createHttp2Server(http2Options, limitHeaders(options.handle));
  const serveHttp1 = takeListener(http1, "connection");
  http1.on("connection", (socket) =>
    routeByPreface(socket, options.connections.firstBytesMs, {
      http1: () => serveHttp1(socket),
      http2: () => {
        // HTTP/1.1 keeps a connection open that the client has half-closed; an HTTP/2 session would
        // then wait for a dead client's windows until it is pinged.
        socket.allowHalfOpen = false;
        http2.emit("connection", socket);
      },
    }),
  );
  return { net: http1, http2, setTls: () => {} };
}

function secureContext({ cert, key, clientCa }: PortTls): SecureContextOptions {
  const context = { cert, key, minVersion: "TLSv1.2" } as const;
  if (!clientCa) return context;
  // A resumed session would not show the client's whole chain, which is judged again when the
  // authorities change. One certificate each: OpenSSL would overlook one that does not begin on a
  // line of its own.
  const ca = parseCertificates(clientCa).map(String);
  return { ...context, ca, secureOptions: cryptoConstants.SSL_OP_NO_TICKET };
}

function takeListener(server: Http1Server, event: "connection" | "secureConnection"): (socket: Socket) => void {
  const [listener] = server.listeners(event);
  server.removeAllListeners(event);
  return (socket) => void listener?.call(server, socket);
}

/** Node and nghttp2 advertise the limit in HTTP/2 and hold clients to 64 KiB. */
function limitHeaders(handle: PortOptions["handle"]) {
  return (request: Http2ServerRequest, response: Http2ServerResponse) => {
    // As RFC 9113, 6.5.2, counts: 32 bytes for each field, of which the raw headers have two
    // entries.
    const size = request.rawHeaders.reduce((sum, text) => sum + text.length + 16, 0);
    if (size <= MAX_HEADER_BYTES) return handle(request, response);
    response.writeHead(431);
    response.end();
  };
}

function http1Options({ firstBytesMs, http1RequestMs }: ConnectionLimits) {
  const connectionsCheckingInterval = Math.min(HTTP1_CHECK_MS, firstBytesMs, http1RequestMs);
  return { maxHeaderSize: MAX_HEADER_BYTES, connectionsCheckingInterval };
}

function setHttp1Timeouts(server: Http1Server, limits: ConnectionLimits): void {
  server.headersTimeout = limits.firstBytesMs;
  server.requestTimeout = limits.http1RequestMs;
  server.keepAliveTimeout = limits.http1IdleMs;
  server.maxHeadersCount = MAX_HEADER_COUNT;
}
