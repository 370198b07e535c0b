import type { ServerHttp2Session } from "node:http2";

/** How many pings in a row may go unanswered before the peer is held to be dead. */
const MISSED_PINGS = 3;

/**
 * Ends an HTTP/2 connection whose peer says nothing at first, or is no longer there: a peer that lost its power or its network closes nothing, and its
 * streams would hold their places until TCP gives up.
 */
export function watchSession(
  session: ServerHttp2Session,
  limits: { firstFrameMs: number; pingIntervalMs: number },
): void {
  const firstFrame = setTimeout(() => session.destroy(), limits.firstFrameMs);
  session.once("remoteSettings", () => clearTimeout(firstFrame));
  let unanswered = 0;
  const pings = setInterval(() => {
    if (unanswered >= MISSED_PINGS) return session.destroy();
    if (session.destroyed) return;
    unanswered += 1;
    session.ping((error) => {
      if (!error) unanswered = 0;
    });
  }, limits.pingIntervalMs);
  session.once("close", () => {
    clearTimeout(firstFrame);
    clearInterval(pings);
  });
}
