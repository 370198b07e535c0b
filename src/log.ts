import { type Logger, pino, stdSerializers } from "pino";
import { maskInternational } from "./domain/masking.ts";

/** Names of fields whose value is a secret, wherever they stand in what is logged. */
const SECRET_FIELDS = ["authorization", "token", "password", "secret", "databaseUrl", "url", "cookie"];

/**
 * Opens the log: one JSON line an event, on standard error, where it does not mix with what a command prints. Log ids, never numbers or
 * tokens; what slips into an error's text is masked.
 */
export function openLog(level: string, write?: (line: string) => void): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }), log: maskTexts },
    redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: "[secret]" },
    serializers: { err: serializeError },
  };
  return write ? pino(options, { write }) : pino(options, pino.destination({ fd: 2, sync: true }));
}

/** An error as it may be logged: its kind, code, masked text and causes; no rows, parameters or details that a database adds. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return mask(String(error));
  const { type, message, stack } = stdSerializers.errWithCause(error);
  const code = (error as { code?: unknown }).code;
  return {
    type,
    ...(typeof code === "string" || typeof code === "number" ? { code } : {}),
    message: mask(message),
    stack: mask(stack ?? ""),
    ...(error.cause === undefined ? {} : { cause: serializeError(error.cause) }),
  };
}

/** What a client has sent, such as a request's id, may hold a number. */
function maskTexts(fields: Record<string, unknown>): Record<string, unknown> {
  const masked = Object.entries(fields).map(([name, value]) => [
    name,
    typeof value === "string" ? maskInternational(value) : value,
  ]);
  return Object.fromEntries(masked) as Record<string, unknown>;
}

function mask(text: string): string {
  return maskDigits(maskInternational(maskSecrets(text)));
}

/** Leaves out what opens a door: user and password of a URL, tokens. */
export function maskSecrets(text: string): string {
  return text
    .replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s/@]*@/gi, "$1[secret]@")
    .replace(/\beyJ[\w-]{5,}\.[\w-]+(\.[\w-]*)?/g, "[token]");
}

/** Keeps the last two digits of anything long enough to be a phone number. */
export function maskDigits(text: string): string {
  return text.replace(/\+?\d{5,}(?=\d{2})/g, "***");
}
