import { gunzipSync } from "node:zlib";
import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../src/gen/google/rpc/status_pb.js";
import type { FuzzAnswer } from "./fuzz-client.ts";
import type { FuzzInput } from "./fuzz-inputs.ts";

/** The end of a call, read from whichever protocol. */
interface CallEnd {
  readonly code: Code | 0;
  readonly message: string;
  /** Reason and domain of each ErrorInfo. */
  readonly infos: readonly { reason: string; domain: string }[];
}

/**
 * Statuses of HTTP that say that a request is no call at all: another verb, kind of content or
 * version.
 */
const NO_CALL: ReadonlySet<number> = new Set([400, 404, 405, 415, 505]);
const NEVER: ReadonlySet<number> = new Set([Code.Internal, Code.Unknown, Code.DataLoss]);
/** A reason that would hide a fault: with a database that answers, no input may bring it about. */
const NEVER_REASONS: ReadonlySet<string> = new Set(["INTERNAL", "STORE_UNAVAILABLE"]);

/**
 * What is wrong with an answer, whatever was asked; undefined: nothing. And the reason that the
 * call ended with.
 */
export function judge(input: FuzzInput, answer: FuzzAnswer): { complaint?: string; reason: string } {
  if (answer.hasLeft) return { reason: "LEFT" };
  if (answer.status === 0) return { complaint: `no answer; reset with ${answer.resetCode}`, reason: "NONE" };
  if (input.verb === "HEAD") return { reason: "HEAD" };
  const end = readEnd(answer);
  if (!end) {
    const isNoCall = NO_CALL.has(answer.status);
    return {
      reason: `HTTP ${answer.status}`,
      ...(isNoCall
        ? {}
        : {
            complaint: `HTTP ${answer.status} and no end of the call, reset with ${answer.resetCode} ${JSON.stringify(answer.trailers)}`,
          }),
    };
  }
  if (end.code === 0) return { reason: "OK" };
  const told = `${Code[end.code] ?? end.code}: ${end.message} ${JSON.stringify(end.infos)}`;
  const [info, ...more] = end.infos;
  if (NEVER.has(end.code)) return { complaint: told, reason: "NEVER" };
  if (!info || more.length > 0) return { complaint: `not one ErrorInfo: ${told}`, reason: "NO_INFO" };
  const isHealth = info.domain === "grpc.health.v1" && input.path.startsWith("/grpc.health.v1.Health/Check");
  if (info.domain !== "tandem" && !isHealth) return { complaint: `another's domain: ${told}`, reason: info.reason };
  if (NEVER_REASONS.has(info.reason)) return { complaint: told, reason: info.reason };
  return { reason: info.reason };
}

function readEnd(answer: FuzzAnswer): CallEnd | undefined {
  const contentType = String(answer.headers["content-type"] ?? "");
  if (contentType.startsWith("application/grpc-web")) return endOfWeb(answer);
  if (contentType.startsWith("application/grpc")) return endOfGrpc({ ...answer.headers, ...answer.trailers });
  if (contentType.startsWith("application/connect+")) return endOfConnectStream(answer);
  if (answer.status !== 200 && contentType === "application/json") return endOfConnect(answer.body);
  if (answer.status === 200 && /^application\/(json|proto)\b/.test(contentType)) return OK;
  return undefined;
}

const OK: CallEnd = { code: 0, message: "", infos: [] };

function endOfGrpc(fields: Readonly<Record<string, unknown>>): CallEnd | undefined {
  if (fields["grpc-status"] === undefined) return undefined;
  const code = Number(fields["grpc-status"]);
  if (code === 0) return OK;
  const details = fields["grpc-status-details-bin"];
  const status = typeof details === "string" ? fromBinary(StatusSchema, Buffer.from(details, "base64")) : undefined;
  const infos = (status?.details ?? []).flatMap((detail) => anyUnpack(detail, ErrorInfoSchema) ?? []);
  return { code, message: decodeURIComponent(String(fields["grpc-message"] ?? "")), infos };
}

function endOfWeb({ headers, body }: FuzzAnswer): CallEnd | undefined {
  // An error before any message has all in its headers.
  const atOnce = endOfGrpc(headers);
  if (atOnce) return atOnce;
  const last = lastFrame(body);
  if (!last || (last.flags & 0x80) === 0) return undefined;
  const lines = last.data.toString("utf8").split("\r\n");
  return endOfGrpc(
    Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
    ),
  );
}

function endOfConnectStream({ body }: FuzzAnswer): CallEnd | undefined {
  const last = lastFrame(body);
  if (!last || (last.flags & 0x02) === 0) return undefined;
  const { error } = JSON.parse(last.data.toString("utf8")) as { error?: ConnectErrorJson };
  return error ? endOfJson(error) : OK;
}

interface ConnectErrorJson {
  readonly code?: string;
  readonly message?: string;
  readonly details?: readonly { type: string; value: string }[];
}

function endOfConnect(body: Buffer): CallEnd {
  return endOfJson(JSON.parse(body.toString("utf8")) as ConnectErrorJson);
}

function endOfJson({ code = "unknown", message = "", details = [] }: ConnectErrorJson): CallEnd {
  const infos = details
    .filter(({ type }) => type === ErrorInfoSchema.typeName)
    .map(({ value }) => fromBinary(ErrorInfoSchema, Buffer.from(value, "base64")));
  return { code: codeOf(code), message, infos };
}

function codeOf(name: string): Code {
  const wanted = name.replaceAll("_", "");
  const [found] = Object.entries(Code).filter(([key]) => key.toLowerCase() === wanted);
  return (found?.[1] as Code | undefined) ?? Code.Unknown;
}

/** The last of the frames of five bytes and a length. */
function lastFrame(body: Buffer): { flags: number; data: Buffer } | undefined {
  let last: { flags: number; data: Buffer } | undefined;
  for (let at = 0; at + 5 <= body.length; ) {
    const length = body.readUInt32BE(at + 1);
    last = { flags: body.readUInt8(at), data: body.subarray(at + 5, at + 5 + length) };
    at += 5 + length;
  }
  if (!last || (last.flags & 1) === 0) return last;
  return { ...last, data: gunzipSync(last.data) };
}
