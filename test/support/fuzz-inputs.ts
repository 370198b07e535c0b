import type { DescMethod } from "@bufbuild/protobuf";
import fc from "fast-check";
import { type Body, type Encoding, RequestArbitraries } from "./fuzz-bodies.ts";
import type { KnownValues } from "./fuzz-values.ts";

/** Whose credential a call shows. */
export type Caller = "owner" | "other" | "nobody" | "forger";

/** One HTTP exchange with the server, whole. */
export interface FuzzInput {
  readonly caller: Caller;
  readonly protocol: "grpc" | "grpc-web" | "connect" | "connect-stream";
  readonly httpVersion: 1 | 2;
  readonly verb: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** Whether the client says that its request is over. */
  readonly ends: boolean;
  /** Whether it leaves as soon as something is answered. */
  readonly leaves: boolean;
  /** Whether it leaves in the middle of its request. */
  readonly breaksOff: boolean;
}

/** Calls without an end of their own get one here, milliseconds. */
const DEADLINE_MS = 60;

/** Every way to call a method that a stranger may think of. */
export function inputsOf(method: DescMethod, known: KnownValues): fc.Arbitrary<FuzzInput> {
  const requests = new RequestArbitraries(method, known);
  const isUnary = method.methodKind === "unary";
  const protocols = isUnary
    ? (["grpc", "grpc-web", "connect"] as const)
    : (["grpc", "grpc-web", "connect-stream"] as const);
  return fc
    .tuple(fc.constantFrom(...protocols), fc.constantFrom<Encoding>("proto", "proto", "json"))
    .chain(([protocol, encoding]) => {
      const body = protocol === "connect" ? requests.bare(encoding) : requests.framed(encoding);
      return fc.record({ body, manners }).map((made) => assemble(method, protocol, encoding, made));
    });
}

const rarely = <T>(usual: T, unusual: fc.Arbitrary<T>, weight = 40): fc.Arbitrary<T> =>
  fc.oneof({ weight, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: unusual });

// How the client behaves, whatever it sends.
const manners = fc.record({
  caller: rarely<Caller>("owner", fc.constantFrom("other", "nobody", "forger"), 16),
  isHttp1: rarely(false, fc.constant(true), 12),
  verb: rarely("POST", fc.constantFrom("GET", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH")),
  contentType: rarely<string | undefined>(
    undefined,
    fc.constantFrom(
      "",
      "text/plain",
      "application/grpc+xml",
      "application/grpc-web-text",
      "application/x-www-form-urlencoded",
      "APPLICATION/JSON",
      "application/json; charset=utf-16",
      "multipart/form-data; boundary=x",
      "application/grpc",
      "application/proto",
      "application/connect+json",
    ),
  ),
  timeout: rarely<string | undefined>(
    undefined,
    fc.constantFrom("0", "-1", "1n", "99999999H", "123456789S", "abc", "1e9", "999999999999999", "m", "1"),
  ),
  header: rarely<readonly [string, string] | undefined>(
    undefined,
    fc.constantFrom(
      ["accept-encoding", "gzip, br;q=0, *"],
      ["grpc-accept-encoding", "gzip,snappy,,"],
      ["connect-protocol-version", "2"],
      ["content-encoding", "deflate"],
      ["x-fuzz-bin", "!!!not base64"],
      ["x-request-id", "%s%n%x"],
      ["x-long", "x".repeat(4_000)],
    ),
    16,
  ),
  suffix: rarely("", fc.constantFrom("?", "?connect=v1&encoding=json&message=%7B%7D", "/", "%00", "/../x", "#x")),
  ends: rarely(true, fc.constant(false)),
  leaves: fc.integer({ min: 0, max: 9 }).map((draw) => draw < 7),
});

type Manners = typeof manners extends fc.Arbitrary<infer T> ? T : never;

function assemble(
  method: DescMethod,
  protocol: FuzzInput["protocol"],
  encoding: Encoding,
  { body, manners }: { body: Body; manners: Manners },
): FuzzInput {
  const { caller, verb, suffix, timeout } = manners;
  const isStream = method.methodKind !== "unary";
  // Whoever names no deadline that counts has to go by itself.
  const ends = manners.ends || timeout !== undefined;
  const contentType = manners.contentType ?? contentTypeOf(protocol, encoding);
  return {
    caller,
    protocol,
    httpVersion: manners.isHttp1 && protocol !== "grpc" && !isStream && ends ? 1 : 2,
    verb,
    path: `/${method.parent.typeName}/${method.name}${suffix}`,
    headers: {
      ...contentTypeHeader(contentType),
      ...timeoutHeader(protocolOf(contentType) ?? protocol, timeout, isStream),
      ...(protocol === "grpc" ? { te: "trailers" } : {}),
      ...(body.compression === undefined ? {} : { [compressionHeader(protocol)]: body.compression }),
      ...(manners.header ? { [manners.header[0]]: manners.header[1] } : {}),
    },
    body: body.bytes,
    ends,
    leaves: timeout !== undefined || (isStream && manners.leaves),
    // Only a stream of requests is answered before its end.
    breaksOff: !ends && method.methodKind !== "bidi_streaming",
  };
}

function contentTypeHeader(contentType: string): Record<string, string> {
  return contentType === "" ? {} : { "content-type": contentType };
}

/**
 * The protocol that a server takes a call for: the kind of content decides, whatever the body is
 * framed as. Undefined: none that has streams.
 */
export function protocolOf(contentType: string): "grpc" | "grpc-web" | "connect-stream" | undefined {
  if (contentType.startsWith("application/grpc-web")) return "grpc-web";
  if (contentType.startsWith("application/grpc")) return "grpc";
  return contentType.startsWith("application/connect+") ? "connect-stream" : undefined;
}

/** A stream ends with its deadline at the latest. */
function timeoutHeader(
  protocol: FuzzInput["protocol"],
  timeout: string | undefined,
  isNeeded: boolean,
): Record<string, string> {
  if (timeout === undefined && !isNeeded) return {};
  if (protocol.startsWith("connect")) return { "connect-timeout-ms": timeout ?? String(DEADLINE_MS) };
  return { "grpc-timeout": timeout ?? `${DEADLINE_MS}m` };
}

function contentTypeOf(protocol: FuzzInput["protocol"], encoding: Encoding): string {
  switch (protocol) {
    case "grpc":
      return `application/grpc+${encoding}`;
    case "grpc-web":
      return `application/grpc-web+${encoding}`;
    case "connect":
      return `application/${encoding}`;
    case "connect-stream":
      return `application/connect+${encoding}`;
    default:
      return protocol satisfies never;
  }
}

function compressionHeader(protocol: FuzzInput["protocol"]): string {
  if (protocol === "connect") return "content-encoding";
  return protocol === "connect-stream" ? "connect-content-encoding" : "grpc-encoding";
}
