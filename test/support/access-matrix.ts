import type { DescMethod, DescMethodStreaming, DescMethodUnary } from "@bufbuild/protobuf";
import { ConnectError, type Transport } from "@connectrpc/connect";
import type { PlatformScope } from "../../src/domain/carriers/scopes.ts";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { Health } from "../../src/gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "../../src/gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../../src/gen/grpc/reflection/v1alpha/reflection_pb.js";
import { listMethods } from "./contract.ts";

// Every method of the contract by every kind of principal. What is declared is taken from the names
// of the contract, and not from the server's own table, so that a new method, and a mistake in the
// table, show.

/** Every method of both packages, and those that anyone may call. */
export const METHODS: readonly DescMethod[] = [
  ...(await listMethods("carrier")),
  ...(await listMethods("platform")),
  ...[Health, ServerReflection, ServerReflectionAlpha].flatMap(({ methods }) => methods),
];

/** Who may call a method. */
export type Declared = "anyone" | "carrier" | PlatformScope;

/**
 * By the contract: the package is the wall, each service of the platform has two scopes, and the
 * verb says which.
 */
export function declared(method: DescMethod): Declared {
  const { typeName, name } = method.parent;
  if (typeName.startsWith("grpc.")) return "anyone";
  if (typeName.startsWith("tandem.carrier.v1.")) return "carrier";
  const isRead = /^(Get|List|Query|Export|Explain|Verify)/.test(method.name);
  return (`${name.replace(/Service$/, "").toLowerCase()}s`.replace(/^(reconciliation|usage|privacy)s$/, "$1") +
    (isRead ? ".read" : ".write")) as PlatformScope;
}

/**
 * What a caller is told of a method that is declared so: `allowed`, or the reason with the scope.
 */
export type Verdict = (rule: Declared, method: DescMethod) => string;

export const everywhere = (reason: string) => (rule: Declared) => (rule === "anyone" ? "allowed" : reason);
export const asCarrier = (reason: string) => (rule: Declared, method: DescMethod) => {
  if (rule === "anyone") return "allowed";
  if (rule !== "carrier") return `PERMISSION_DENIED ${rule}`;
  return reason === "CARRIER_SUSPENDED" && method.name === "GetAgreement" ? "allowed" : reason;
};
export const asPlatform =
  (...scopes: readonly PlatformScope[]) =>
  (rule: Declared) => {
    if (rule === "anyone") return "allowed";
    if (rule === "carrier") return "PERMISSION_DENIED";
    return scopes.includes(rule) ? "allowed" : `PERMISSION_DENIED ${rule}`;
  };
export const nobody = everywhere("UNAUTHENTICATED");

/** Every method by its name, with what a caller is to be told of it. */
export function expected(verdict: Verdict): Record<string, string> {
  return Object.fromEntries(METHODS.map((method) => [nameOf(method), verdict(declared(method), method)]));
}

/** Calls every method, and says of each what the caller was told. */
export async function judgeAll(transport: Transport): Promise<Record<string, string>> {
  const found = await Promise.all(METHODS.map(async (method) => [nameOf(method), await judge(transport, method)]));
  return Object.fromEntries(found);
}

/** The reasons that are given before a request is read. */
export const DENIALS = new Set([
  "UNAUTHENTICATED",
  "CREDENTIAL_EXPIRED",
  "PERMISSION_DENIED",
  "CARRIER_SUSPENDED",
  "REGION_MISMATCH",
  "RATE_LIMITED",
]);

/**
 * Calls with an empty request: why it was denied, with the scope that it lacks; or that it was let
 * in, whatever became of it.
 */
async function judge(transport: Transport, method: DescMethod): Promise<string> {
  const stop = new AbortController();
  try {
    if (method.methodKind === "unary")
      await transport.unary(method as DescMethodUnary, stop.signal, undefined, undefined, {});
    else {
      const requests = method.methodKind === "server_streaming" ? [{}] : [];
      const stream = transport.stream(method as DescMethodStreaming, stop.signal, undefined, undefined, each(requests));
      // The first message is enough: some streams have no end.
      await (await stream).message[Symbol.asyncIterator]().next();
    }
    return "allowed";
  } catch (thrown) {
    const [info, ...more] = ConnectError.from(thrown).findDetails(ErrorInfoSchema);
    if (!info || more.length > 0) return `without one reason: ${thrown}`;
    if (info.reason === "INTERNAL") return `a fault: ${thrown}`;
    if (!DENIALS.has(info.reason)) return "allowed";
    return [info.reason, info.metadata["scope"]].filter(Boolean).join(" ");
  } finally {
    stop.abort();
  }
}

async function* each<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values;
}

export function nameOf(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`;
}
