import { once } from "node:events";
import { type IncomingMessage, request as requestHttp1 } from "node:http";
import { type ClientHttp2Session, connect as connectHttp2, type IncomingHttpHeaders } from "node:http2";
import {
  create,
  type DescMethod,
  fromBinary,
  type Message,
  type MessageInitShape,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../src/gen/google/rpc/status_pb.js";

/** How a call goes over the wire. */
export type Wire = "Connect over HTTP/1.1" | "Connect over HTTP/2" | "gRPC" | "gRPC-Web over HTTP/1.1";

/** A call that has not sent all of its request. */
export interface HeldCall extends Disposable {
  /** Sends the rest and reads the answer. Resolves with its reason, or with `OK`. */
  release(): Promise<string>;
  /** As release, of a stream of requests that stays open after its first message. */
  releaseFirst(): Promise<string>;
}

/**
 * What a call holds back: half of its first message, or nothing of it but that the request ends
 * there.
 */
export type HeldBack = "half" | "end";

export interface CallToHold {
  readonly wire: Wire;
  readonly method: DescMethod;
  readonly request: MessageInitShape<DescMethod["input"]>;
  /** Default: half of the message. */
  readonly heldBack?: HeldBack | undefined;
}

/** Makes a call and holds back some of its request. */
export async function holdCall(url: string, token: string, call: CallToHold): Promise<HeldCall> {
  const { wire, method, request, heldBack = "half" } = call;
  const message = create(method.input, request);
  const isEnveloped = !wire.startsWith("Connect") || method.methodKind !== "unary";
  const body = isEnveloped ? envelope(encode(wire, method, message)) : encode(wire, method, message);
  const headers = {
    authorization: `Bearer ${token}`,
    "content-type": contentType(wire, isEnveloped),
    ...(wire === "gRPC" ? { te: "trailers" } : {}),
  };
  const path = `/${method.parent.typeName}/${method.name}`;
  const sent = heldBack === "half" ? Math.ceil(body.length / 2) : body.length;
  const send = wire.endsWith("HTTP/1.1") ? sendHttp1 : sendHttp2;
  const exchange = await send(url, path, headers, body.subarray(0, sent));
  const readReason = async () => reasonOf(wire, isEnveloped, await exchange.answer);
  return {
    release: () => {
      exchange.end(body.subarray(sent));
      return readReason();
    },
    releaseFirst: () => {
      exchange.write(body.subarray(sent));
      return readReason();
    },
    [Symbol.dispose]: () => exchange.destroy(),
  };
}

function encode(wire: Wire, method: DescMethod, message: Message): Uint8Array {
  return wire.startsWith("Connect")
    ? Buffer.from(JSON.stringify(toJson(method.input, message)))
    : toBinary(method.input, message);
}

function contentType(wire: Wire, isEnveloped: boolean): string {
  if (wire === "gRPC") return "application/grpc+proto";
  if (wire.startsWith("gRPC-Web")) return "application/grpc-web+proto";
  return isEnveloped ? "application/connect+json" : "application/json";
}

function envelope(content: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(content.length, 1);
  return Buffer.concat([head, content]);
}

interface Answer {
  readonly status: number;
  /** With the trailers. */
  readonly headers: Record<string, unknown>;
  readonly body: Buffer;
}

interface Exchange {
  readonly answer: Promise<Answer>;
  write(rest: Uint8Array): void;
  end(rest: Uint8Array): void;
  destroy(): void;
}

async function sendHttp1(
  url: string,
  path: string,
  headers: Record<string, string>,
  start: Uint8Array,
): Promise<Exchange> {
  const request = requestHttp1(`${url}${path}`, { method: "POST", headers, agent: false });
  const answer = once(request, "response").then(async ([response]: IncomingMessage[]) => {
    if (!response) throw new Error("no answer");
    const body = Buffer.concat(await response.toArray());
    return { status: response.statusCode ?? 0, headers: response.headers, body };
  });
  answer.catch(() => {});
  request.write(start);
  await once(request, "socket");
  return {
    answer,
    write: (rest) => void request.write(rest),
    end: (rest) => void request.end(rest),
    destroy: () => void request.destroy(),
  };
}

async function sendHttp2(
  url: string,
  path: string,
  headers: Record<string, string>,
  start: Uint8Array,
): Promise<Exchange> {
  const session: ClientHttp2Session = connectHttp2(url);
  const request = session.request({ ":method": "POST", ":path": path, ...headers });
  let all: IncomingHttpHeaders = {};
  request.on("response", (its) => {
    all = { ...all, ...its };
  });
  request.on("trailers", (its) => {
    all = { ...all, ...its };
  });
  const answer = request
    .toArray()
    .then((chunks: Buffer[]) => ({ status: Number(all[":status"]), headers: all, body: Buffer.concat(chunks) }))
    .finally(() => session.destroy());
  answer.catch(() => {});
  request.write(start);
  return {
    answer,
    write: (rest) => void request.write(rest),
    end: (rest) => void request.end(rest),
    destroy: () => session.destroy(),
  };
}

/** Reads a reason where the protocol has its errors, and nowhere else. */
function reasonOf(wire: Wire, isEnveloped: boolean, { status, headers, body }: Answer): string {
  if (wire === "gRPC") return reasonOfGrpc(headers);
  if (wire.startsWith("Connect") && !isEnveloped)
    return status === 200 ? "OK" : reasonOfConnect(JSON.parse(String(body)));
  if (status !== 200) throw new Error(`a stream with status ${status}`);
  const last = lastFrame(body);
  if (wire.startsWith("Connect")) return last.flags === 2 ? reasonOfConnect(JSON.parse(last.text).error) : "no end";
  if (last.flags !== 128) return reasonOfGrpc(headers);
  const lines = last.text.split("\r\n").filter(Boolean);
  return reasonOfGrpc(Object.fromEntries(lines.map(splitLine)));
}

function splitLine(line: string): [string, string] {
  const at = line.indexOf(":");
  return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()];
}

function lastFrame(body: Buffer): { flags: number; text: string } {
  let last = { flags: 0, text: "" };
  for (let at = 0; at + 5 <= body.length; ) {
    const next = at + 5 + body.readUInt32BE(at + 1);
    last = { flags: body.readUInt8(at), text: body.toString("utf8", at + 5, next) };
    at = next;
  }
  return last;
}

function reasonOfConnect(error: { details?: { value: string }[] } | undefined): string {
  if (error === undefined) return "OK";
  const values = (error.details ?? []).map(({ value }) => value);
  return reasonIn(values.map((value) => fromBinary(ErrorInfoSchema, Buffer.from(value, "base64"))));
}

function reasonOfGrpc(headers: Record<string, unknown>): string {
  if (headers["grpc-status"] === "0") return "OK";
  const details = Buffer.from(String(headers["grpc-status-details-bin"] ?? ""), "base64");
  return reasonIn(fromBinary(StatusSchema, details).details.flatMap((any) => anyUnpack(any, ErrorInfoSchema) ?? []));
}

function reasonIn(infos: readonly { reason: string }[]): string {
  return infos[0]?.reason ?? "no reason";
}
