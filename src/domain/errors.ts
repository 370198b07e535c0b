import type { ErrorReason as WireReason } from "../gen/tandem/type/v1/error_reason_pb.js";

/**
 * Why something failed: the names of `tandem.type.v1.ErrorReason`, without the prefix. The contract
 * says what each means, and which metadata it carries.
 */
export type ErrorReason = Exclude<keyof typeof WireReason, "UNSPECIFIED">;

/** What is wrong with one field of a request. */
export interface FieldViolation {
  /** The field's path, as the proto names it: `open.upload_id`, `records[3].direction`. */
  readonly field: string;
  /** What is wrong, for people. No phone number in it. */
  readonly description: string;
}

export interface TandemErrorOptions {
  /** Every field at fault, for google.rpc.BadRequest. */
  readonly fieldViolations?: readonly FieldViolation[];
  /** When a retry is worth it, milliseconds, for RetryInfo. Retryable reasons have a default. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/**
 * The one error that domain, store, feeds and uploads throw on purpose. Only rpc/shared/errors.ts
 * knows what it is on the wire.
 */
export class TandemError extends Error {
  override readonly name = "TandemError";
  readonly reason: ErrorReason;
  /** Every variable part of the message, by the names that the reason's comment gives. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly fieldViolations: readonly FieldViolation[];
  readonly retryAfterMs: number | undefined;

  constructor(
    reason: ErrorReason,
    message: string,
    metadata: Readonly<Record<string, string>> = {},
    options: TandemErrorOptions = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.metadata = metadata;
    this.fieldViolations = options.fieldViolations ?? [];
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The error of a carrier that does not exist. */
export function noCarrier(carrierId: string): TandemError {
  return new TandemError("CARRIER_NOT_FOUND", `no carrier ${carrierId}`, { carrier_id: carrierId });
}

/** The error of a request with one wrong field. */
export function invalidArgument(field: string, description: string): TandemError {
  return fieldViolations([{ field, description }]);
}

/** The error of a request with wrong fields, all of them named; at least one. */
export function fieldViolations(violations: readonly FieldViolation[]): TandemError {
  const message = violations.map((violation) => `${violation.field}: ${violation.description}`).join("; ");
  const field = violations[0]?.field ?? "";
  return new TandemError("INVALID_ARGUMENT", message, { field }, { fieldViolations: violations });
}

/** The error of a message that its method cannot read. */
export function unreadableMessage(cause?: unknown): TandemError {
  return new TandemError("INVALID_ARGUMENT", "the message is not valid for this method", { field: "" }, { cause });
}

/**
 * The error of a call without a credential, or with one that cannot be verified. The text tells the
 * client what to mend and nothing of the credential.
 */
export function unauthenticated(message: string, cause?: unknown): TandemError {
  return new TandemError("UNAUTHENTICATED", message, {}, { cause });
}

/** The error of a caller that is over one of its rates. */
export function rateLimited(message: string, retryAfterMs: number): TandemError {
  return new TandemError("RATE_LIMITED", message, {}, { retryAfterMs });
}

/** The error of a call that comes while the process shuts down. */
export function draining(): TandemError {
  return new TandemError("DRAINING", "the server is shutting down: call again");
}

const NO_LONGER_SERVED: ReadonlySet<ErrorReason> = new Set([
  "UNAUTHENTICATED",
  "CREDENTIAL_EXPIRED",
  "CARRIER_SUSPENDED",
  "REGION_MISMATCH",
]);

/** Whether an error says that a call that was let in may no longer be served. */
export function isNoLongerServed(error: unknown): boolean {
  return error instanceof TandemError && NO_LONGER_SERVED.has(error.reason);
}
