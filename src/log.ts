import { type LogFn, type Logger, pino, stdSerializers } from "pino";
import { maskReport, plainDigits } from "./domain/privacy/masking.ts";
import { maskSecrets } from "./domain/privacy/secrets.ts";
import { visibleText } from "./domain/privacy/visible-text.ts";

/** Names of fields whose value is a secret, wherever they stand in what is logged. */
const SECRET_FIELDS = ["authorization", "token", "password", "secret", "databaseUrl", "url", "cookie"];

/**
 * Opens the log: one JSON line an event, on standard error, apart from a command's output. Log ids,
 * never numbers or tokens; what slips into an error's text is masked.
 */
export function openLog(level: string, write?: (line: string) => void): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }), log: maskFields },
    redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: "[secret]" },
    serializers: { err: serializeError },
    hooks: { logMethod: maskMessage },
  };
  return write ? pino(options, { write }) : pino(options, pino.destination({ fd: 2, sync: true }));
}

/** An error as it may be logged: kind, code, masked text and causes, and nothing of a database. */
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

// The message itself, whoever puts a value into it.
function maskMessage(this: Logger, args: unknown[], method: LogFn): void {
  const masked = args.map((each) => (typeof each === "string" ? visible(maskReport(each)) : each));
  method.apply(this, masked as Parameters<LogFn>);
}

const MAX_DEPTH = 5;

/** A client's text, such as a request's id, may hold a number, wherever it stands in the log. */
function maskFields(fields: Record<string, unknown>, depth = 0): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, maskValue(value, depth + 1)]));
}

function maskValue(value: unknown, depth: number): unknown {
  if (typeof value === "string") return visible(maskReport(value));
  if (typeof value !== "object" || value === null || depth > MAX_DEPTH) return value;
  if (Array.isArray(value)) return value.map((item) => maskValue(item, depth + 1));
  // What has a class of its own, such as an error, has its serializer.
  const prototype: unknown = Object.getPrototypeOf(value);
  const isPlain = prototype === Object.prototype || prototype === null;
  return isPlain ? maskFields(value as Record<string, unknown>, depth) : value;
}

// JSON escapes ASCII controls itself. The rest would reach the terminal of whoever reads the log.
function visible(text: string): string {
  return text.replaceAll(BEYOND_ASCII, visibleText);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: whatever is ASCII, and DEL not
const BEYOND_ASCII = /[^\u0000-\u007e]/gu;

function mask(text: string): string {
  return visible(maskDigits(maskReport(maskSecrets(text))));
}

/** Keeps the last two digits of anything long enough to be a phone number. */
export function maskDigits(text: string): string {
  return plainDigits(text).replace(/\+?\d{5,}(?=\d{2})/g, "***");
}
