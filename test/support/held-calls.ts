import { type ClientHttp2Session, type ClientHttp2Stream, connect, type SecureClientSessionOptions } from "node:http2";
import { buffer } from "node:stream/consumers";
import { type DescMethod, fromBinary } from "@bufbuild/protobuf";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { nameOf } from "./access-matrix.ts";

/** Calls whose headers are sent and whose one message, an empty one, is held back. */
export interface HeldCalls extends AsyncDisposable {
  /**
   * Sends every message. Resolves with the reason of each method's answer, `OK` without an error.
   */
  release(): Promise<Record<string, string>>;
}

/**
 * Begins a call of each method over one connection, in the Connect protocol with JSON.
 * @param probe a method that is called to its end after the others: the server has judged what came
 *   before it.
 */
export async function holdCalls(
  url: string,
  methods: readonly DescMethod[],
  probe: DescMethod,
  { token, tls = {} }: { readonly token?: string | undefined; readonly tls?: SecureClientSessionOptions },
): Promise<HeldCalls> {
  const session = connect(url, tls);
  const held = methods.map((method) => ({ method, stream: begin(session, method, token) }));
  const answers = held.map(async ({ method, stream }) => [nameOf(method), reasonIn(await buffer(stream))]);
  // Of calls that are never released nobody asks.
  for (const answer of answers) answer.catch(() => {});
  const first = begin(session, probe, token);
  first.end(emptyMessage(probe));
  await buffer(first);
  return {
    release: async () => {
      for (const { method, stream } of held) stream.end(emptyMessage(method));
      return Object.fromEntries(await Promise.all(answers));
    },
    [Symbol.asyncDispose]: async () => session.destroy(),
  };
}

function begin(session: ClientHttp2Session, method: DescMethod, token: string | undefined): ClientHttp2Stream {
  const isUnary = method.methodKind === "unary";
  return session.request({
    ":method": "POST",
    ":path": `/${nameOf(method)}`,
    "content-type": isUnary ? "application/json" : "application/connect+json",
    "connect-protocol-version": "1",
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  });
}

// A stream's messages are led by a byte of flags and their length.
function emptyMessage(method: DescMethod): Buffer {
  const prefix = method.methodKind === "unary" ? [] : [0, 0, 0, 0, 2];
  return Buffer.concat([Buffer.from(prefix), Buffer.from("{}")]);
}

function reasonIn(answer: Buffer): string {
  const info = /"google\.rpc\.ErrorInfo".*?"value":"([^"]+)"/.exec(answer.toString("latin1"))?.[1];
  return info === undefined ? "OK" : fromBinary(ErrorInfoSchema, Buffer.from(info, "base64")).reason;
}
