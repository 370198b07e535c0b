import { ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.js";

/** What Tandem says of an error beyond its status code. */
export interface TandemReason {
  /**
   * A name of `tandem.type.v1.ErrorReason` without its prefix, such as `CURSOR_EXPIRED`. A newer
   * server may have more.
   */
  readonly reason: string;
  /** Every variable part of the message, such as `earliest_sequence`. */
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * How long to wait before the next attempt, milliseconds. Absent when the server said nothing of
   * it.
   */
  readonly retryAfterMs?: number;
}

/**
 * Reads the machine-readable reason of an error that a call threw, or undefined when the error does
 * not come from Tandem (the network, a proxy, a bug of one's own).
 *
 * @example try { await client.getCdr({ name: { case: "recordId", value: "r-1" } }); } catch (error)
 *   { if (tandemReason(error)?.reason === "RECORD_NOT_FOUND") return undefined; throw error; }
 */
export function tandemReason(error: unknown): TandemReason | undefined {
  if (error instanceof TandemClientError) return error.tandem;
  if (!(error instanceof ConnectError)) return undefined;
  const info = error.findDetails(ErrorInfoSchema).find((detail) => detail.domain === "tandem");
  if (info === undefined) return undefined;
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  const retryAfterMs = delay === undefined ? undefined : msFromDuration(delay);
  return { reason: info.reason, metadata: info.metadata, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

/** Why a follower or an uploader gave up. */
export type ClientFault =
  /** The server refused, and the same request would be refused again. `tandem` says why. */
  | "REFUSED"
  /** The server broke the contract: what it says contradicts what it said before. */
  | "CONTRADICTED"
  /** Attempts without any progress reached the limit. `cause` is the last error. */
  | "EXHAUSTED"
  /** The caller's own source does not fit what it uploaded before. */
  | "SOURCE"
  /**
   * No Tandem was ever reached, and no attempt can: the address, the protocol or a certificate is
   * wrong. `cause` is the error.
   */
  | "UNREACHABLE";

/** What a follower or an uploader throws when it cannot go on by itself. */
export class TandemClientError extends Error {
  override readonly name = "TandemClientError";
  readonly fault: ClientFault;
  /** The server's reason, when it gave one. */
  readonly tandem: TandemReason | undefined;

  constructor(fault: ClientFault, message: string, options: { cause?: unknown; tandem?: TandemReason } = {}) {
    super(message, { cause: options.cause });
    this.fault = fault;
    this.tandem = options.tandem ?? tandemReason(options.cause);
  }
}

/** What a client found wrong with one stream. Resuming may help. */
export class StreamBroken extends Error {}

/** A message of a feed that does not join on to the one before, or does not hold what it says. */
export class RangeBroken extends StreamBroken {}

/** What the caller's own code threw: passed on as it is, never retried. */
export class CallerFault extends Error {}

/**
 * Whether the same call may succeed later, from the position reached. The rule is the contract's
 * (error_reason.proto): an error without Tandem's ErrorInfo is a cut, whatever its code, and is
 * resumed; one with it is retried exactly if it carries RetryInfo.
 */
export function isRetryable(error: unknown): boolean {
  if (error instanceof StreamBroken) return true;
  if (!(error instanceof ConnectError)) return false;
  const tandem = tandemReason(error);
  return tandem === undefined || tandem.retryAfterMs !== undefined;
}

/** A protobuf Duration in milliseconds. */
export function msFromDuration(duration: { seconds: bigint; nanos: number }): number {
  return Number(duration.seconds) * 1000 + duration.nanos / 1_000_000;
}
