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

/** Answers a request for what is not there: an RPC client gets UNIMPLEMENTED in its own protocol, and a person a hint. */
export function answerUnknown(request: PortRequest, response: PortResponse): void {
  const contentType = request.headers["content-type"] ?? "";
  const info = create(ErrorInfoSchema, { reason: "UNIMPLEMENTED", domain: "tandem" });
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
  } else if (/^application\/(connect\+)?(json|proto)/.test(contentType)) {
    const details = [{ type: ErrorInfoSchema.typeName, value: encodeBinaryHeader(info, ErrorInfoSchema) }];
    const body = JSON.stringify({ code: "unimplemented", message: MESSAGE, details });
    finish(response, 404, { "content-type": "application/json" }, body);
  } else {
    finish(response, 404, { "content-type": "text/plain; charset=utf-8" }, HINT);
  }
}

/** Answers a request that cannot be taken for one at all. */
export function answerBadRequest(response: PortResponse): void {
  finish(response, 400, { "content-type": "text/plain; charset=utf-8" }, "The request has no usable host.\n");
}

function finish(response: PortResponse, status: number, headers: Record<string, string>, body?: string): void {
  // The two kinds of response have the same methods, in types that TypeScript cannot join.
  const http1 = response as Extract<PortResponse, { shouldKeepAlive: boolean }>;
  if (!http1.headersSent) http1.writeHead(status, headers);
  http1.end(body);
}
