import type { ServerResponse } from "node:http";
import { constants, type Http2ServerRequest, type ServerHttp2Stream } from "node:http2";
import type { DescMethod } from "@bufbuild/protobuf";
import { createContextKey, createContextValues, type HandlerContext } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { DeliveryWatch } from "../domain/delivery-watch.ts";
import { draining as drainingError, TandemError } from "../domain/errors.ts";
import type { Limits } from "../domain/limits.ts";
import { Health } from "../gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { addressGroup } from "../port/address-group.ts";
import { AnonymousLimits } from "../port/anonymous-limits.ts";
import { CallMeter } from "../port/call-meter.ts";
import { COMPRESS_MIN_BYTES, fastGzip } from "../port/compression.ts";
import { createCors } from "../port/cors.ts";
import { forgetFarDeadline } from "../port/deadlines.ts";
import { answerBadRequest, answerUnknown } from "../port/fallback.ts";
import { callerOfKey, MemoryBudget } from "../port/memory-budget.ts";
import { createNodeAdapter } from "../port/node-adapter.ts";
import {
  type ConnectionLimits,
  DEFAULT_CONNECTION_LIMITS,
  openPort,
  type PortOptions,
  type PortRequest,
  type PortResponse,
  type PortTls,
} from "../port/port.ts";
import { dropRestOnceAnswered } from "../port/rest-of-request.ts";
import { inCall, nameCaller } from "../store/database/callers.ts";
import type { Tracing } from "../telemetry/tracing.ts";
import { readClientCertificate } from "../trust/client-certificate.ts";
import { drainServer, SENT_POLL_MS } from "./drain.ts";
import { createHealth, type Footing, type HealthState } from "./health.ts";
import { guardMessages } from "./intake/message-guard.ts";
import { DROP_UNKNOWN_FIELDS } from "./intake/unknown-fields.ts";
import { createReflection } from "./reflection.ts";
import { type Route, route } from "./routes.ts";
import { unknownSpender } from "./shared/access/address-standing.ts";
import { admitAnonymous } from "./shared/access/admit-anonymous.ts";
import { type AuthOptions, authorize } from "./shared/access/auth.ts";
import {
  authorizationCountKey,
  callerAddressKey,
  clientCertificateKey,
  findPrincipal,
  judgedOf,
} from "./shared/access/caller.ts";
import { callerOf } from "./shared/access/principal-caller.ts";
import { callerKeyOf, PrincipalLimits } from "./shared/access/principal-limits.ts";
import { judgeAgainInterceptor } from "./shared/access/second-judgement.ts";
import { auditInterceptor, recordRefusal } from "./shared/audit/audit-interceptor.ts";
import type { RefusalLog } from "./shared/audit/refusal-log.ts";
import { traceCall, traceInterceptor } from "./shared/call-traces.ts";
import { goneKey, observeCall, resetKey } from "./shared/calls.ts";
import { ANSWER_GROWTH } from "./shared/cut-page.ts";
import { disclosureInterceptor } from "./shared/disclosure/disclose.ts";
import { errorInterceptor, type FaultReporter, toConnectError } from "./shared/errors.ts";
import { maskInterceptor } from "./shared/masking/mask-interceptor.ts";
import { accessRuleOf } from "./shared/method-rules.ts";
import type { Metrics } from "./shared/metrics.ts";
import { isLongLived } from "./shared/rpc-names.ts";

/**
 * As many calls of one may wait for room to decode, however few may live at once: of an address
 * those are not counted.
 */
const MIN_LINE = 1_000;

interface ServerOptions extends Pick<PortOptions, "host" | "port" | "tls"> {
  readonly limits: Limits;
  readonly reflection: boolean;
  /** Of which other origins pages may call. Default: none. */
  readonly corsOrigins?: ReadonlySet<string>;
  readonly routes: readonly Route[];
  readonly auth: AuthOptions;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Undefined: calls are not traced. */
  readonly tracing?: Tracing | undefined;
  /** What the process has read and not yet sent. */
  readonly deliveries: DeliveryWatch;
  /** Undefined: health does not ask whether the database answers. */
  readonly footing?: Footing | undefined;
  /** Undefined: acts that are refused are not written down. */
  readonly refusals?: RefusalLog | undefined;
  /** Aborted when a drain begins; its signal is the services' `drain`. */
  readonly draining: AbortController;
  /** Further names of health: what each of them tells. */
  readonly conditions?: ReadonlyMap<string, Footing> | undefined;
  /** Those that are not named have their defaults. */
  readonly connections?: Partial<ConnectionLimits>;
}

/** A server that listens. Dispose it to drain it. */
interface TandemServer extends AsyncDisposable {
  readonly port: number;
  /** How clients reach it, such as `http://127.0.0.1:7443`. */
  readonly url: string;
  /** How many calls are in flight. */
  readonly callCount: number;
  /** What calls hold now of what they have sent, bytes: what a leak test looks at. */
  readonly heldBytes: { readonly received: number; readonly decoded: number };
  /** From the next connection on, another certificate and other authorities. */
  setTls(tls: PortTls): void;
  /**
   * Shuts down: health says NOT_SERVING, streams send their Closing, no new call is taken, calls in
   * flight end, every session is closed, and what is left after `limits.drainMs` is destroyed.
   * Always resolves; again at no cost.
   */
  drain(): Promise<void>;
}

/** Starts to serve. */
export async function openServer(options: ServerOptions): Promise<TandemServer> {
  const anonymous = new AnonymousLimits(options.limits);
  const health = createHealth(
    options.routes.map(({ service }) => service.typeName),
    (address) => anonymous.openStream(address),
    options,
  );
  const { receivedBudgetBytes, decodedBudgetBytes, maxLiveCalls } = options.limits;
  const received = new MemoryBudget({ totalBytes: receivedBudgetBytes });
  const decoded = new MemoryBudget({
    totalBytes: decodedBudgetBytes,
    maxWaitingOfOne: Math.max(MIN_LINE, maxLiveCalls),
  });
  const shutdown = new AbortController();
  const meters = new WeakMap<object, CallMeter>();
  const adapter = createAdapter(options, health, { shutdownSignal: shutdown.signal, meters, anonymous });
  const calls = new Set<PortResponse>();
  const handle = (request: PortRequest, response: PortResponse) => {
    calls.add(response);
    response.once("close", () => calls.delete(response));
    if ("stream" in request) endWithResponse(request);
    else dropRestOnceAnswered(request, response as ServerResponse);
    const spender = unknownSpender(request, options.auth.trust);
    meters.set(request, new CallMeter(request, response, options.limits, { received, decoded, spender }));
    if (options.draining.signal.aborted && request.httpVersionMajor === 1) response.setHeader("connection", "close");
    forgetFarDeadline(request.headers);
    try {
      inCall(() => adapter(request, response));
    } catch (error) {
      // A request without a host, or with one that makes no URL: thrown here it would end the
      // process.
      options.log.debug({ err: error }, "request refused");
      answerBadRequest(response);
    }
  };
  const port = await openPort({
    ...options,
    connections: { ...DEFAULT_CONNECTION_LIMITS, ...connectionLimits(options.limits), ...options.connections },
    handle,
  });
  let drained: Promise<void> | undefined;
  const drain = () => {
    drained ??= drainServer({
      port,
      health,
      calls,
      shutdown,
      draining: options.draining,
      limitMs: options.limits.drainMs,
    });
    return drained;
  };
  const host = options.host.includes(":") ? `[${options.host}]` : options.host;
  return {
    port: port.port,
    url: `${options.tls ? "https" : "http"}://${host}:${port.port}`,
    get callCount() {
      return calls.size;
    },
    get heldBytes() {
      return { received: received.usedBytes(), decoded: decoded.usedBytes() };
    },
    setTls: (tls) => port.setTls(tls),
    drain,
    [Symbol.asyncDispose]: drain,
  };
}

// An answer may come before the request has ended: an upload that is refused, or whose client was
// silent. A client that then goes on sending, or says nothing, would hold the stream open; RFC
// 9113, 8.1, has the server reset it, without an error, after all of the answer.
function endWithResponse({ stream }: Http2ServerRequest): void {
  stream.once("wantTrailers", () => closeOnceSent(stream));
  // An answer that is headers alone wants no trailers.
  stream.once("finish", () => closeOnceSent(stream));
}

// Node has no event for "the last frame is out", and a reset before that would take the trailers
// with it.
function closeOnceSent(stream: ServerHttp2Stream): void {
  if (stream.destroyed || stream.readableEnded) return;
  const isSent = stream.closed || stream.state.localClose === 1;
  if (!isSent) {
    setTimeout(closeOnceSent, SENT_POLL_MS, stream);
    return;
  }
  stream.close(constants.NGHTTP2_NO_ERROR);
  // What has come and is read by nobody would keep the stream for as long as its connection lives.
  stream.destroy();
}

function connectionLimits({ maxConnections, maxConnectionsPerAddress, requestMs }: Limits): Partial<ConnectionLimits> {
  return { maxConnections, maxConnectionsPerAddress, http1RequestMs: requestMs };
}

const meterKey = createContextKey<CallMeter | undefined>(undefined, { description: "meter" });

interface AdapterParts {
  readonly shutdownSignal: AbortSignal;
  readonly meters: WeakMap<object, CallMeter>;
  readonly anonymous: AnonymousLimits;
}

function createAdapter(options: ServerOptions, health: HealthState, parts: AdapterParts) {
  const { shutdownSignal, meters, anonymous } = parts;
  const principals = new PrincipalLimits(options.limits);
  const { log, metrics, limits, refusals, tracing } = options;
  const report: FaultReporter = (faultId, error) => log.error({ faultId, err: error }, "unexpected fault");
  return createNodeAdapter({
    routes: (router) => {
      for (const { register } of [...options.routes, ...createOwnRoutes(options, health, anonymous)]) register(router);
      guardMessages(router.handlers, {
        limits,
        callOf: (values) => values.get(meterKey),
        takeAnonymous: (values) => anonymous.takeMessage(values.get(callerAddressKey)),
        report,
      });
    },
    interceptors: [
      ...(tracing ? [traceInterceptor] : []),
      ...(refusals ? [auditInterceptor(refusals)] : []),
      errorInterceptor(report),
      maskInterceptor,
      disclosureInterceptor,
      judgeAgainInterceptor,
    ],
    requestGate: async (context) => {
      // Streams have a watch, which tells the client in their own way.
      const findJudged = () => (context.method.methodKind === "unary" ? judgedOf(context) : undefined);
      nameCaller(() => callerOf(findPrincipal(context), context.signal, findJudged()), context.signal);
      const trace = tracing && traceCall(tracing, context);
      observeCall(context, log, metrics, report, trace);
      holdDelivery(context, options.deliveries);
      const meter = context.values.get(meterKey);
      try {
        assertOpen(context, options.draining.signal);
        const late = () => toConnectError(tooSlow(), undefined, report);
        if (isOneMessage(context.method)) meter?.limitRequest(late);
        if (accessRuleOf(context.method)?.principal === "anyone")
          admitAnonymous(context, anonymous, meter, { limits, late });
        await authorize(context, options.auth);
        const principal = findPrincipal(context);
        if (!principal) return;
        trace?.identify(principal);
        principals.admit(context, principal, meter);
        meter?.become(callerOfKey(callerKeyOf(principal)));
      } catch (error) {
        meter?.refuse();
        const refused = toConnectError(error, context.signal, report);
        if (refusals) await recordRefusal(refusals, context, refused);
        throw refused;
      }
    },
    contextValues: (request) => {
      const socket = "stream" in request ? request.stream.session?.socket : request.socket;
      return (
        createContextValues()
          .set(meterKey, meters.get(request))
          .set(callerAddressKey, addressGroup(socket?.remoteAddress))
          .set(authorizationCountKey, countHeaders(request, "authorization"))
          .set(clientCertificateKey, readClientCertificate(socket, options.auth.trust))
          .set(goneKey, () => ("stream" in request ? request.stream.destroyed : request.socket.destroyed))
          // With a code: without one, Node would wait until all is taken that the client does not
          // take, and gRPC would call it INTERNAL.
          .set(resetKey, () =>
            "stream" in request ? request.stream.close(constants.NGHTTP2_CANCEL) : request.destroy(),
          )
      );
    },
    cors: createCors(options.corsOrigins ?? new Set()),
    fallback: (request, response) => {
      meters.get(request)?.refuse();
      answerUnknown(request, response);
    },
    onUnwritten: (error) => toConnectError(error, undefined, report),
    ...DROP_UNKNOWN_FIELDS,
    acceptCompression: [fastGzip],
    compressMinBytes: COMPRESS_MIN_BYTES,
    readMaxBytes: limits.maxMessageBytes,
    writeMaxBytes: limits.maxMessageBytes * ANSWER_GROWTH,
    shutdownSignal,
  });
}

// Of what was sent: of two such headers, Node's own `headers` show the first.
function countHeaders({ rawHeaders }: PortRequest, name: string): number {
  return rawHeaders.filter((text, index) => index % 2 === 0 && text.toLowerCase() === name).length;
}

function isOneMessage({ methodKind }: DescMethod): boolean {
  return methodKind === "unary" || methodKind === "server_streaming";
}

function tooSlow(): TandemError {
  return new TandemError("DEADLINE_EXCEEDED", "the request took too long to arrive");
}

// A feed says itself what it has read and not sent, page by page; an upload is told of its own
// records only. Of all other calls everything that was read since they came may be delivered until
// they end.
function holdDelivery(context: HandlerContext, deliveries: DeliveryWatch): void {
  if (isLongLived(context.method) || context.signal.aborted) return;
  const held = deliveries.hold();
  context.signal.addEventListener("abort", () => held[Symbol.dispose](), { once: true });
}

/** What anyone may call: nothing is inflated for strangers, and nothing compressed. */
function createOwnRoutes(options: ServerOptions, health: HealthState, anonymous: AnonymousLimits): Route[] {
  const plain = { acceptCompression: [] };
  const routes = [route(Health, health.service, plain)];
  if (options.reflection) {
    const described = [
      ...options.routes.map(({ service }) => service),
      Health,
      ServerReflection,
      ServerReflectionAlpha,
    ];
    const reflection = createReflection(described, options.draining.signal, anonymous);
    routes.push(route(ServerReflection, reflection.v1, plain), route(ServerReflectionAlpha, reflection.v1alpha, plain));
  }
  return routes;
}

// Health is answered to the last, so that whoever asks learns that this process is leaving.
function assertOpen(context: HandlerContext, draining: AbortSignal): void {
  if (draining.aborted && accessRuleOf(context.method)?.principal !== "anyone") {
    throw drainingError();
  }
}
