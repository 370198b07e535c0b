import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type Settings,
} from "node:http2";
import { createConnection } from "node:net";
import type { Exchange } from "./exchange.ts";

/** What a call of {@link SessionFrom} sends. */
export interface RequestFrom {
  readonly path: string;
  readonly body: Uint8Array;
  /** Default gRPC. */
  readonly contentType?: string;
  readonly token?: string | undefined;
  /** Whether the request ends with the body. Default: yes. */
  readonly ends?: boolean;
}

/** One HTTP/2 connection from an address of loopback. */
export interface SessionFrom extends AsyncDisposable {
  /** Begins a call. */
  begin(request: RequestFrom): ClientHttp2Stream;
  /** Makes a call. @returns its status of gRPC, or of HTTP when it has none. */
  call(request: RequestFrom): Promise<string>;
}

export function sessionFrom(target: Exchange, localAddress: string, settings: Settings = {}): SessionFrom {
  const session: ClientHttp2Session = connect(target.url, {
    createConnection: () => createConnection({ host: "127.0.0.1", port: target.port, localAddress }),
    settings,
  });
  session.on("error", () => {});
  const begin = ({ path, body, contentType = "application/grpc", token, ends = true }: RequestFrom) => {
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": contentType,
      te: "trailers",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    });
    stream.on("error", () => {});
    if (ends) stream.end(body);
    else stream.write(body);
    return stream;
  };
  return {
    begin,
    call: (request) => statusOf(begin(request)),
    [Symbol.asyncDispose]: async () => session.destroy(),
  };
}

/** How a call ends: its status of gRPC, or of HTTP when it has none. */
export function statusOf(stream: ClientHttp2Stream): Promise<string> {
  return new Promise((resolve) => {
    let status = "none";
    const read = (headers: IncomingHttpHeaders, other: string) => String(headers["grpc-status"] ?? other);
    stream.on("response", (headers) => {
      status = read(headers, String(headers[":status"]));
    });
    stream.on("trailers", (trailers) => {
      status = read(trailers, status);
    });
    stream.on("close", () => resolve(status));
    stream.resume();
  });
}
