import { constants, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import { Buckets } from "./buckets.ts";

/** After how many unanswered pings in a row a peer is taken for dead. */
const MISSED_PINGS = 3;
/**
 * Frames that a peer may send without a call. gRPC clients ping once a round trip while they
 * measure a line: hundreds a second at short distances.
 */
const PINGS = { perSecond: 2_000, burst: 10_000 };
const SETTINGS = { perSecond: 10, burst: 100 };

export interface SessionLimits {
  /**
   * For a TLS handshake, the first bytes of a connection, and the headers of an HTTP/1.1 request,
   * milliseconds. Default 10,000.
   */
  readonly firstBytesMs: number;
  /**
   * How often HTTP/2 connections are pinged, milliseconds; one that misses three is dead. Default
   * 15,000.
   */
  readonly pingIntervalMs: number;
  /**
   * How long an HTTP/2 connection may live without a call, milliseconds; then it gets a GOAWAY,
   * after which clients connect anew. Default 600,000.
   */
  readonly idleMs: number;
}

/**
 * Ends an HTTP/2 connection whose peer says nothing at first, is no longer there, makes no calls,
 * or floods us with pings or settings. A peer that lost its power or its network closes nothing,
 * and its streams would hold their places until TCP gives up.
 */
export function watchSession(session: ServerHttp2Session, limits: SessionLimits): void {
  const firstFrame = setTimeout(() => session.destroy(), limits.firstBytesMs);
  session.once("remoteSettings", () => clearTimeout(firstFrame));
  const pings = setInterval(pinger(session), limits.pingIntervalMs);
  const stopIdle = closeWhenIdle(session, limits);
  limitFrames(session);
  session.once("close", () => {
    clearTimeout(firstFrame);
    clearInterval(pings);
    stopIdle();
  });
}

function pinger(session: ServerHttp2Session): () => void {
  let unanswered = 0;
  return () => {
    if (unanswered >= MISSED_PINGS) return session.destroy();
    if (session.destroyed) return;
    unanswered += 1;
    session.ping((error) => {
      if (!error) unanswered = 0;
    });
  };
}

/** Also limits a client that never ends a request's headers: without them there is no call. */
function closeWhenIdle(session: ServerHttp2Session, { idleMs, firstBytesMs }: SessionLimits): () => void {
  let calls = 0;
  let timer: NodeJS.Timeout;
  const rest = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      session.close();
      timer = setTimeout(() => session.destroy(), firstBytesMs);
    }, idleMs);
  };
  session.on("stream", (stream: ServerHttp2Stream) => {
    calls += 1;
    clearTimeout(timer);
    stream.once("close", () => {
      calls -= 1;
      if (calls === 0 && !session.destroyed) rest();
    });
  });
  rest();
  return () => clearTimeout(timer);
}

function limitFrames(session: ServerHttp2Session): void {
  const pings = new Buckets(PINGS);
  const settings = new Buckets(SETTINGS);
  const check = (buckets: Buckets) => () => {
    if (session.destroyed || buckets.take("") === 0) return;
    session.destroy(new Error("the peer floods the connection"), constants.NGHTTP2_ENHANCE_YOUR_CALM);
  };
  session.on("ping", check(pings));
  session.on("remoteSettings", check(settings));
  // A session's error ends only that session.
  session.on("error", () => {});
}
