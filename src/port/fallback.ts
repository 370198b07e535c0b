import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code, encodeBinaryHeader } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../gen/google/rpc/status_pb.js";
import type { PortRequest, PortResponse } from "./port.ts";

const MESSAGE = "no such method here";
const HINT =
  "This is Tandem, a gRPC server. It speaks gRPC, gRPC-Web and Connect; with Connect, each method is a POST:\n\n" +
  "  curl -H 'content-type: application/json' -d '{}' <this address>/grpc.health.v1.Health/Check\n";

/** Flags of an envelope: the last message of a Connect stream, which carries its end. */
const END_OF_STREAM = 0b10;

/**
 * Answers a request for something that does not exist: an RPC client gets UNIMPLEMENTED in its own
 * protocol, and a person a hint.
 */
export function answerUnknown(request: PortRequest, response: PortResponse): void {
  const contentType = request.headers["content-type"] ?? "";
  const info = create(ErrorInfoSchema, { reason: "UNIMPLEMENTED", domain: "tandem" });
  const details = [{ type: ErrorInfoSchema.typeName, value: encodeBinaryHeader(info, ErrorInfoSchema) }];
  const error = { code: "unimplemented", message: MESSAGE, details };
  if (contentType.startsWith("application/grpc")) {
    const status = create(StatusSchema, {
      code: Code.Unimplemented,
      message: MESSAGE,
      details: [anyPack(ErrorInfoSchema, info)],
    });
    finish(response, 200, {
      "content-type": contentType,
      "grpc-status": String(Code.Unimplemented),
      "grpc-message": encodeURIComponent(MESSAGE),
      "grpc-status-details-bin": encodeBinaryHeader(status, StatusSchema),
    });
  } else if (/^application\/connect\+(json|proto)/.test(contentType)) {
    finish(response, 200, { "content-type": contentType }, envelope(END_OF_STREAM, JSON.stringify({ error })));
  } else if (/^application\/(json|proto)/.test(contentType) || isConnectGet(request)) {
    finish(response, 404, { "content-type": "application/json" }, JSON.stringify(error));
  } else {
    finish(response, 404, { "content-type": "text/plain; charset=utf-8" }, HINT);
  }
}

/** Answers something that is no valid request at all. */
export function answerBadRequest(response: PortResponse): void {
  finish(response, 400, { "content-type": "text/plain; charset=utf-8" }, "The request has no usable host.\n");
}

// A Connect client's GET names the encoding of its message in the address.
function isConnectGet({ method, url }: PortRequest): boolean {
  return method === "GET" && /[?&]encoding=(json|proto)(&|$)/.test(url ?? "");
}

function envelope(flags: number, text: string): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags, 0);
  head.writeUInt32BE(Buffer.byteLength(text), 1);
  return Buffer.concat([head, Buffer.from(text)]);
}

function finish(response: PortResponse, status: number, headers: Record<string, string>, body?: string | Buffer): void {
  // The two kinds of response have the same methods, in types that TypeScript cannot join.
  const http1 = response as Extract<PortResponse, { shouldKeepAlive: boolean }>;
  if (!http1.headersSent) {
    // Not writeHead: without a body the headers then end the stream, and gRPC takes a status from
    // the headers only of such an answer.
    http1.statusCode = status;
    for (const [name, value] of Object.entries(headers)) http1.setHeader(name, value);
  }
  http1.end(body);
}
