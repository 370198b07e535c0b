import type { DescMethod } from "@bufbuild/protobuf";
import { Code, type HandlerContext } from "@connectrpc/connect";

// Calls as the conventions of OpenTelemetry for RPC name them.

/** Such as `tandem.carrier.v1.CdrService/ListCdrs`. */
export function methodNameOf({ service, method }: Pick<HandlerContext, "service" | "method">): string {
  return `${service.typeName}/${method.name}`;
}

export function systemNameOf({ protocolName }: Pick<HandlerContext, "protocolName">): "grpc" | "connectrpc" {
  return protocolName === "connect" ? "connectrpc" : "grpc";
}

/** Whether a call of the method is a feed, a watch or an upload, which may live for long. */
export function isLongLived({ methodKind, name }: DescMethod): boolean {
  return methodKind === "bidi_streaming" || (methodKind === "server_streaming" && /^(Stream|Watch)/.test(name));
}

/** A status as gRPC writes it; undefined is OK. */
export function statusNameOf(code: Code | undefined): string {
  if (code === undefined) return "OK";
  // The one that Connect spells otherwise.
  if (code === Code.Canceled) return "CANCELLED";
  return Code[code].replaceAll(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}

/** The status, if the server is at fault, and not the caller. */
export function errorTypeOf(code: Code | undefined): string | undefined {
  return code !== undefined && SERVER_FAULTS.has(code) ? statusNameOf(code) : undefined;
}

const SERVER_FAULTS: ReadonlySet<Code> = new Set([
  Code.Unknown,
  Code.DeadlineExceeded,
  Code.Unimplemented,
  Code.Internal,
  Code.Unavailable,
  Code.DataLoss,
]);
