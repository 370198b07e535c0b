import { ConnectError } from "@connectrpc/connect";

/**
 * Node's codes for reading from or writing to a stream that is gone. They never come from the
 * database.
 */
const STREAM_GONE: ReadonlySet<string> = new Set([
  ...["ERR_HTTP2_INVALID_STREAM", "ERR_HTTP2_STREAM_ERROR", "ERR_HTTP2_STREAM_CANCEL", "ERR_HTTP2_SESSION_ERROR"],
  ...["ERR_STREAM_DESTROYED", "ERR_STREAM_PREMATURE_CLOSE", "ERR_STREAM_WRITE_AFTER_END", "ECANCELED"],
]);
/** Node's codes for any connection that broke, a client's or the database's. */
const CONNECTION_BROKEN: ReadonlySet<string> = new Set([
  ...["ECONNRESET", "ECONNABORTED", "EPIPE", "EPROTO", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN"],
]);
/** Connect's text for a stream that the client has reset, with whatever code. */
const RESET = "http/2 stream closed with error code ";
const MAX_CAUSES = 5;

/**
 * Whether an error only says that the client's connection or stream broke: the end of its call, and
 * no fault of ours.
 */
export function isClientGone(error: unknown): boolean {
  // What Connect has wrapped in an error of its own comes from the call's transport; errors of the
  // methods are wrapped by us first.
  return hasCode(error, (code) => STREAM_GONE.has(code)) || (error instanceof ConnectError && isTransportGone(error));
}

/** The same for an error that came from a call's transport, and cannot be the database's. */
export function isTransportGone(error: unknown): boolean {
  if (error instanceof ConnectError && error.rawMessage.startsWith(RESET)) return true;
  return hasCode(error, (code) => STREAM_GONE.has(code) || CONNECTION_BROKEN.has(code));
}

function hasCode(error: unknown, isKnown: (code: string) => boolean): boolean {
  let cause = error;
  for (let depth = 0; cause instanceof Error && depth < MAX_CAUSES; depth++) {
    const { code } = cause as NodeJS.ErrnoException;
    if (typeof code === "string" && isKnown(code)) return true;
    cause = cause.cause;
  }
  return false;
}
