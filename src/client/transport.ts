import type {
  ClientHttp2Session,
  ClientHttp2Stream,
  OutgoingHttpHeaders,
  SecureClientSessionOptions,
} from "node:http2";
import { isIP } from "node:net";
import type { Interceptor, Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { context, propagation, type TextMapSetter } from "@opentelemetry/api";

const MIB = 1024 * 1024;
const STREAM_WINDOW_BYTES = 8 * MIB;
const CONNECTION_WINDOW_BYTES = 16 * MIB;
const MAX_MESSAGE_BYTES = 16 * MIB;

/** The options of `createTandemTransport`. */
export interface TandemTransportOptions {
  /** Where Tandem is, such as `https://tandem.example`. */
  readonly baseUrl: string;
  /** A bearer token. Either this, or `tokenProvider`, or a client certificate in `tls`. */
  readonly token?: string;
  /**
   * Gives the bearer token of each call, so that one that has expired is replaced when a stream
   * resumes.
   */
  readonly tokenProvider?: () => string | Promise<string>;
  /** The protocol on the wire. Default `grpc`. */
  readonly protocol?: "grpc" | "connect" | "grpc-web";
  /** Certificates: `ca` to trust, `cert` and `key` to show. */
  readonly tls?: Pick<SecureClientSessionOptions, "ca" | "cert" | "key" | "passphrase" | "servername">;
  /** Sends tokens without TLS to another machine, for everyone between to read. Default false. */
  readonly allowPlaintextToken?: boolean;
  /**
   * How often a quiet connection is probed by PING, milliseconds. Default 20,000; one that does not
   * answer in 10,000 is closed.
   */
  readonly pingIntervalMs?: number;
  /** Interceptors of each call, the first of which sees an answer last. Default: none. */
  readonly interceptors?: readonly Interceptor[];
  /** Makes the connection's socket, for proxies and tests. Default: Node's own. */
  readonly createConnection?: SecureClientSessionOptions["createConnection"];
}

/**
 * A transport for Connect's `createClient` that owns one HTTP/2 connection. Dispose it to close the
 * connection.
 */
export interface TandemTransport extends Transport, Disposable {}

/**
 * Connects to Tandem over HTTP/2 with flow-control windows that fill a long line: the default 64
 * KiB would cap a stream at 64 KiB per round trip, some 7,600 records a second at 50 ms.
 *
 * @example const transport = createTandemTransport({ baseUrl: "https://tandem.example",
 *   tokenProvider: () => vault.read("tandem-token") }); const cdrs = createClient(CdrService,
 *   transport);
 */
export function createTandemTransport(options: TandemTransportOptions): TandemTransport {
  refusePlaintextToken(options);
  const sessionManager = new WideSessionManager(
    options.baseUrl,
    { pingIntervalMs: options.pingIntervalMs ?? 20_000, pingTimeoutMs: 10_000 },
    {
      ...options.tls,
      ...(options.createConnection === undefined ? {} : { createConnection: options.createConnection }),
      settings: { initialWindowSize: STREAM_WINDOW_BYTES },
      // Megabytes. Node's 10 would refuse streams while their windows are full.
      maxSessionMemory: 64,
    },
  );
  const common = {
    baseUrl: options.baseUrl,
    sessionManager,
    interceptors: [...(options.interceptors ?? []), ...bearer(options), passTrace],
    readMaxBytes: MAX_MESSAGE_BYTES,
  };
  const transport = transportOf(options.protocol ?? "grpc", common);
  return {
    unary: transport.unary.bind(transport),
    stream: transport.stream.bind(transport),
    [Symbol.dispose]: () => sessionManager.abort(),
  };
}

function transportOf(
  protocol: "grpc" | "connect" | "grpc-web",
  common: Parameters<typeof createGrpcTransport>[0],
): Transport {
  switch (protocol) {
    case "grpc":
      return createGrpcTransport(common);
    case "connect":
      return createConnectTransport({ ...common, httpVersion: "2" });
    case "grpc-web":
      return createGrpcWebTransport({ ...common, httpVersion: "2" });
    default:
      throw new Error(`unknown protocol ${protocol satisfies never}`);
  }
}

/**
 * Raises the connection's window too, which no HTTP/2 setting can do: it is shared by all streams
 * and starts at 64 KiB.
 */
class WideSessionManager extends Http2SessionManager {
  readonly #widened = new WeakSet<ClientHttp2Session>();

  override async request(
    method: string,
    path: string,
    headers: OutgoingHttpHeaders,
    options: Parameters<Http2SessionManager["request"]>[3],
  ): Promise<ClientHttp2Stream> {
    const stream = await super.request(method, path, headers, options);
    const session = stream.session as ClientHttp2Session | undefined;
    if (session !== undefined && !this.#widened.has(session)) {
      this.#widened.add(session);
      // A server that does not speak HTTP/2 ends the session with an error, which would end the
      // process if nobody listened. The calls on it fail by themselves.
      session.on("error", () => {});
      if (!session.destroyed) session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    }
    return stream;
  }
}

function bearer(options: TandemTransportOptions): Interceptor[] {
  const { token, tokenProvider } = options;
  if (token !== undefined && tokenProvider !== undefined) throw new Error("give token or tokenProvider, not both");
  const provide = tokenProvider ?? (token === undefined ? undefined : () => token);
  if (provide === undefined) return [];
  return [
    (next) => async (request) => {
      request.header.set("Authorization", `Bearer ${await provide()}`);
      return await next(request);
    },
  ];
}

/**
 * Names the caller's span to the server, if the caller uses the OpenTelemetry API and has set a
 * propagator; else it does nothing. Baggage stays here: the server is another company's.
 */
const passTrace: Interceptor = (next) => (request) => {
  propagation.inject(context.active(), request.header, TRACE_HEADERS);
  return next(request);
};

const TRACE_HEADERS: TextMapSetter<Headers> = {
  set: (headers, name, value) => {
    if ((name === "traceparent" || name === "tracestate") && !headers.has(name)) headers.set(name, value);
  },
};

function refusePlaintextToken(options: TandemTransportOptions): void {
  const url = new URL(options.baseUrl);
  const hasToken = options.token !== undefined || options.tokenProvider !== undefined;
  if (!hasToken || url.protocol === "https:" || options.allowPlaintextToken === true || isLoopback(url.hostname))
    return;
  throw new Error(
    `${url.origin} has no TLS: a token sent there can be read on the way. Use https, or set allowPlaintextToken if the network is your own.`,
  );
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || (isIP(hostname) === 4 && hostname.startsWith("127."));
}
