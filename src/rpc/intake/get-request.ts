import type { DescMethod } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import type { UniversalServerRequest } from "@connectrpc/connect/protocol";

/**
 * A GET of Connect as the POST that it stands for, so that its message passes the same guard: it is
 * counted, inflated within limits, and its JSON is checked for names that nobody knows. Everything
 * else stays as it is, and so does a GET that Connect refuses by its method or encoding.
 */
export function asPost(request: UniversalServerRequest, method: DescMethod): UniversalServerRequest {
  if (request.method !== "GET" || method.idempotency !== Idempotency.NO_SIDE_EFFECTS) return request;
  const query = new URL(request.url).searchParams;
  const encoding = query.get("encoding");
  if (encoding !== "json" && encoding !== "proto") return request;
  const header = new Headers(request.header);
  header.set("content-type", `application/${encoding}`);
  header.delete("content-length");
  header.delete("content-encoding");
  const compression = query.get("compression");
  if (compression) header.set("content-encoding", compression);
  return { ...request, method: "POST", header, body: readMessage(query) };
}

async function* readMessage(query: URLSearchParams): AsyncGenerator<Uint8Array> {
  const text = query.get("message") ?? "";
  // Both alphabets of base64, with and without padding, as Connect asks of servers.
  const message = Buffer.from(text, query.get("base64") === "1" ? "base64" : "utf8");
  if (message.length > 0) yield message;
}
