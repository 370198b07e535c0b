import { randomUUID } from "node:crypto";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { type ErrorReason, TandemError, unreadableMessage } from "../../domain/errors.ts";
import { maskNumbers, maskReport } from "../../domain/privacy/masking.ts";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { isClientGone } from "../../port/client-gone.ts";
import { isTransient, isUnstorableText } from "../../store/database/database.ts";
import { throughSteps } from "./message-steps.ts";

/** Called for every unexpected error; the client gets only the id. */
export type FaultReporter = (faultId: string, error: unknown) => void;

/**
 * Maps whatever a method throws, before its first answer or in the middle of a stream, to a
 * google.rpc.Status with exactly one ErrorInfo. Only this function and {@link completeError} know
 * which status code a reason has.
 */
export function errorInterceptor(report: FaultReporter): Interceptor {
  return (next) => async (request) => {
    const map = (error: unknown) => toConnectError(error, request.signal, report);
    try {
      const response = await next(request);
      return response.stream ? { ...response, message: mapErrors(response.message, map) } : response;
    } catch (error) {
      throw map(error);
    }
  };
}

/**
 * Any error as it goes over the wire. The signal is the call's: errors after it has aborted are its
 * consequence.
 */
export function toConnectError(error: unknown, signal: AbortSignal | undefined, report: FaultReporter): ConnectError {
  if (error instanceof TandemError) return fromTandemError(error);
  if (error instanceof ConnectError) {
    completeError(error, report);
    return error;
  }
  if (signal?.aborted && isConsequence(error, signal)) return fromAbort(signal, report);
  if (isClientGone(error)) return clientLeft();
  if (isTransient(error)) {
    return tandemError("STORE_UNAVAILABLE", "the database did not answer: call again", {}, { cause: error });
  }
  if (isUnstorableText(error))
    return tandemError("INVALID_ARGUMENT", "a text in the request contains NUL", { field: "" });
  return fault(error, report);
}

/**
 * Gives an error that Connect itself made (a message over the limit, JSON that does not parse, a
 * lost connection) the one ErrorInfo that every error has. It changes the error in place, because
 * Connect sends the very object that it has thrown.
 */
export function completeError(error: ConnectError, report: FaultReporter): void {
  if (error.findDetails(ErrorInfoSchema).length > 0) return;
  const { code, rawMessage, message, details } = recast(error, report);
  Object.assign(error, { code, rawMessage, message, details });
}

/**
 * The answer of grpc.health.v1 to a service that it does not know. It is not an error of Tandem's
 * contract, and so has another domain.
 */
export function serviceUnknown(service: string): ConnectError {
  const metadata = { service: told(service, MAX_VALUE_LENGTH) };
  const value = { reason: "SERVICE_UNKNOWN", domain: "grpc.health.v1", metadata };
  return new ConnectError("no such service here", Code.NotFound, undefined, [{ desc: ErrorInfoSchema, value }]);
}

// Every error passes here, so numbers are masked here: messages and metadata repeat what a client
// has sent, and the client keeps them in its logs.
function fromTandemError(error: TandemError): ConnectError {
  const { code, retryAfterMs } = STATUS[error.reason];
  const isOurs = (name: string) => OF_OURS.has(name) || OPEN_OF[error.reason]?.has(name) === true;
  const known = Object.entries(error.metadata).flatMap(([name, value]) => (isOurs(name) ? [value] : []));
  const metadata = Object.fromEntries(
    Object.entries(error.metadata).map(([name, value]) => [
      name,
      isOurs(name) ? clip(value, MAX_VALUE_LENGTH) : told(value, MAX_VALUE_LENGTH),
    ]),
  );
  const details: ConnectError["details"] = [
    { desc: ErrorInfoSchema, value: { reason: error.reason, domain: "tandem", metadata } },
  ];
  if (error.fieldViolations.length > 0) {
    details.push({ desc: BadRequestSchema, value: { fieldViolations: takeViolations(error.fieldViolations, known) } });
  }
  const delayMs = error.retryAfterMs ?? retryAfterMs;
  if (delayMs !== undefined) {
    const retryDelay = { seconds: BigInt(Math.floor(delayMs / 1000)), nanos: (delayMs % 1000) * 1_000_000 };
    details.push({ desc: RetryInfoSchema, value: { retryDelay } });
  }
  const mapped = new ConnectError(told(error.message, MAX_MESSAGE_LENGTH, known), code, undefined, undefined, error);
  mapped.details = details;
  return mapped;
}

/**
 * Most characters of an error's message. Errors travel in headers, of which some clients take only
 * 8 KiB, and may repeat what a request said.
 */
const MAX_MESSAGE_LENGTH = 500;
const MAX_VALUE_LENGTH = 200;
const MAX_VIOLATIONS_LENGTH = 4_000;

/**
 * Metadata that Tandem makes itself: counts, positions, ids of faults, names of the contract.
 * Everything else may repeat what the caller has sent.
 */
const OF_OURS: ReadonlySet<string> = new Set(
  (
    "actual expected limit limit_days minimum_days maximum_days records pending_ratio end_date " +
    "earliest_sequence head_sequence committed_sequence feed_epoch writer_epoch server_time " +
    "offset committed_offset final_offset send_limit_offset fault_id method scope state frame"
  ).split(" "),
);

/**
 * Metadata of one reason that looks like a phone number and is not one: number ranges are public,
 * and a whole number given as a range is refused.
 */
const OPEN_OF: Readonly<Partial<Record<ErrorReason, ReadonlySet<string>>>> = { RANGE_TAKEN: new Set(["prefix"]) };

// Cut before it is masked, because a request may have sent megabytes; but to more than is shown, so
// that no number is cut in two.
function told(text: string, maxLength: number, known?: readonly string[]): string {
  return clip(maskReport(text.slice(0, 4 * maxLength), known), maxLength);
}

// As many of the fields at fault as there is room for.
function takeViolations(
  violations: TandemError["fieldViolations"],
  known: readonly string[],
): { field: string; description: string }[] {
  const taken: { field: string; description: string }[] = [];
  let length = 0;
  for (const violation of violations) {
    const field = told(violation.field, MAX_VALUE_LENGTH);
    const description = told(violation.description, MAX_VALUE_LENGTH, known);
    length += field.length + description.length;
    if (length > MAX_VIOLATIONS_LENGTH) break;
    taken.push({ field, description });
  }
  return taken;
}

/**
 * A text as it can be sent: not too long, and without halves of surrogate pairs, for which the
 * encoder of headers throws.
 */
function clip(text: string, maxLength: number): string {
  return (text.length > maxLength ? `${text.slice(0, maxLength - 1)}\u2026` : text).toWellFormed();
}

// What Connect's own errors mean here. Their texts speak of the server's options, so only those
// that help a client are kept.
function recast(error: ConnectError, report: FaultReporter): ConnectError {
  if (isClientGone(error)) return clientLeft();
  switch (error.code) {
    case Code.ResourceExhausted: {
      const limit = /readMaxBytes (\d+)/.exec(error.rawMessage)?.[1];
      if (!limit) return fault(error, report);
      return tandemError("MESSAGE_TOO_LARGE", `the message is over ${limit} bytes`, { limit, unit: "bytes" });
    }
    case Code.Internal:
      return UNREADABLE.has(error.rawMessage) || error.rawMessage.startsWith("parse binary: ")
        ? fromTandemError(unreadableMessage())
        : fault(error, report);
    case Code.InvalidArgument:
      // The message quotes what was sent.
      return tandemError("INVALID_ARGUMENT", maskNumbers(error.rawMessage.slice(0, 4 * MAX_MESSAGE_LENGTH)), {
        field: "",
      });
    case Code.Unimplemented:
      return tandemError("UNIMPLEMENTED", error.rawMessage);
    case Code.DeadlineExceeded:
      return tandemError("DEADLINE_EXCEEDED", "the call took longer than its deadline");
    case Code.Canceled:
    case Code.Aborted:
      return clientLeft();
    default:
      return fault(error, report);
  }
}

/**
 * Connect's texts for requests that the client made unreadable and that Connect reports as
 * internal, besides those that are not protobuf.
 */
const UNREADABLE: ReadonlySet<string> = new Set([
  "decompression failed",
  "received compressed envelope, but do not know how to decompress",
]);

function fault(error: unknown, report: FaultReporter): ConnectError {
  const faultId = randomUUID();
  report(faultId, error);
  return tandemError("INTERNAL", `internal error; fault id ${faultId}`, { fault_id: faultId });
}

function isConsequence(error: unknown, signal: AbortSignal): boolean {
  if (error === signal.reason) return true;
  return error instanceof Error && (error.name === "AbortError" || error.cause === signal.reason);
}

function fromAbort(signal: AbortSignal, report: FaultReporter): ConnectError {
  const { reason } = signal;
  if (reason instanceof TandemError) return fromTandemError(reason);
  if (reason instanceof ConnectError) {
    completeError(reason, report);
    return reason;
  }
  return clientLeft();
}

function tandemError(...parts: ConstructorParameters<typeof TandemError>): ConnectError {
  return fromTandemError(new TandemError(...parts));
}

function clientLeft(): ConnectError {
  return tandemError("CANCELLED", "the client left");
}

function mapErrors<T>(messages: AsyncIterable<T>, map: (error: unknown) => ConnectError): AsyncIterable<T> {
  const guard = <R>(step: () => Promise<R>) =>
    step().catch((error: unknown) => {
      throw map(error);
    });
  return throughSteps(messages, guard, guard);
}

interface Status {
  readonly code: Code;
  /** Retrying may help; by default after this many milliseconds. */
  readonly retryAfterMs?: number;
}

const STATUS: Record<ErrorReason, Status> = {
  INVALID_ARGUMENT: { code: Code.InvalidArgument },
  UNAUTHENTICATED: { code: Code.Unauthenticated },
  CREDENTIAL_EXPIRED: { code: Code.Unauthenticated, retryAfterMs: 1_000 },
  PERMISSION_DENIED: { code: Code.PermissionDenied },
  CARRIER_SUSPENDED: { code: Code.PermissionDenied },
  CARRIER_NOT_FOUND: { code: Code.NotFound },
  CARRIER_ALREADY_EXISTS: { code: Code.AlreadyExists },
  REVISION_MISMATCH: { code: Code.Aborted },
  REQUEST_ID_REUSED: { code: Code.FailedPrecondition },
  REGION_MISMATCH: { code: Code.FailedPrecondition },
  NUMBER_NOT_FOUND: { code: Code.NotFound },
  NUMBER_UNAVAILABLE: { code: Code.FailedPrecondition },
  NUMBER_STATE_CONFLICT: { code: Code.FailedPrecondition },
  NUMBER_INVALID: { code: Code.InvalidArgument },
  CURSOR_MALFORMED: { code: Code.InvalidArgument },
  CURSOR_FILTER_MISMATCH: { code: Code.InvalidArgument },
  CURSOR_EXPIRED: { code: Code.OutOfRange },
  CURSOR_AHEAD_OF_HEAD: { code: Code.Unavailable, retryAfterMs: 500 },
  FEED_EPOCH_CHANGED: { code: Code.FailedPrecondition },
  INGEST_TIME_IN_FUTURE: { code: Code.InvalidArgument },
  CONSUMER_NOT_FOUND: { code: Code.NotFound },
  CONSUMER_CURSOR_CONFLICT: { code: Code.Aborted },
  RECORD_NOT_FOUND: { code: Code.NotFound },
  UPLOAD_NOT_FOUND: { code: Code.NotFound },
  UPLOAD_SUPERSEDED: { code: Code.Aborted },
  UPLOAD_SEALED: { code: Code.FailedPrecondition },
  UPLOAD_HISTORY_LOST: { code: Code.FailedPrecondition },
  OFFSET_CONTENT_MISMATCH: { code: Code.FailedPrecondition },
  OFFSET_GAP: { code: Code.OutOfRange },
  CONTROL_TOTAL_MISMATCH: { code: Code.FailedPrecondition },
  FLOW_CONTROL_VIOLATION: { code: Code.ResourceExhausted },
  BATCH_TOO_LARGE: { code: Code.InvalidArgument },
  UPLOAD_PROTOCOL_VIOLATION: { code: Code.InvalidArgument },
  MESSAGE_TOO_LARGE: { code: Code.ResourceExhausted },
  TOO_MANY_STREAMS: { code: Code.ResourceExhausted, retryAfterMs: 5_000 },
  RATE_LIMITED: { code: Code.ResourceExhausted, retryAfterMs: 1_000 },
  LIST_WINDOW_TOO_LARGE: { code: Code.InvalidArgument },
  PAGE_TOKEN_INVALID: { code: Code.InvalidArgument },
  DRAINING: { code: Code.Unavailable, retryAfterMs: 1_000 },
  STORE_UNAVAILABLE: { code: Code.Unavailable, retryAfterMs: 1_000 },
  DEADLINE_EXCEEDED: { code: Code.DeadlineExceeded, retryAfterMs: 1_000 },
  CANCELLED: { code: Code.Canceled, retryAfterMs: 0 },
  UNIMPLEMENTED: { code: Code.Unimplemented },
  INTERNAL: { code: Code.Internal, retryAfterMs: 5_000 },
  // These two are never the error of a call: they stand in stored rejects.
  RECORD_REFUSED: { code: Code.InvalidArgument },
  RECORD_QUARANTINED: { code: Code.FailedPrecondition },
  HOLD_NOT_FOUND: { code: Code.NotFound },
  ERASURE_NOT_FOUND: { code: Code.NotFound },
  PERIOD_NOT_FOUND: { code: Code.NotFound },
  RETENTION_OUT_OF_BOUNDS: { code: Code.FailedPrecondition },
  PERIOD_ALREADY_CLOSED: { code: Code.AlreadyExists },
  PERIOD_NOT_COMPLETE: { code: Code.FailedPrecondition },
  CREDENTIAL_IN_USE: { code: Code.AlreadyExists },
  STREAM_MAX_AGE: { code: Code.Unavailable, retryAfterMs: 0 },
  SLOW_CONSUMER: { code: Code.Unavailable, retryAfterMs: 0 },
  STREAM_IDLE: { code: Code.Unavailable, retryAfterMs: 0 },
  UPLOAD_NOT_FINISHED: { code: Code.FailedPrecondition },
  NUMBER_OUT_OF_RANGE: { code: Code.FailedPrecondition },
  LIMIT_REACHED: { code: Code.ResourceExhausted },
  RANGE_TAKEN: { code: Code.AlreadyExists },
};
