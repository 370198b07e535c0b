import { type DescMethod, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import type { FuzzInput } from "./fuzz-inputs.ts";

/** A protocol and a codec that a call can be made in. */
export type Wire = "grpc+proto" | "grpc+json" | "grpc-web+proto" | "grpc-web+json" | "connect+proto" | "connect+json";

export const WIRES: readonly Wire[] = [
  "grpc+proto",
  "grpc+json",
  "grpc-web+proto",
  "grpc-web+json",
  "connect+proto",
  "connect+json",
];

/** A call with one message whose bytes are given, as they are. */
export function rawInput(
  method: DescMethod,
  wire: Wire,
  message: Uint8Array,
  options: Partial<Pick<FuzzInput, "caller" | "ends">> & { gzipped?: boolean } = {},
): FuzzInput {
  const { caller = "nobody", ends = true, gzipped = false } = options;
  const isBare = wire.startsWith("connect") && method.methodKind === "unary";
  const contentType = `application/${isBare ? wire.replace("connect+", "") : wire}`;
  const encoding = { grpc: "grpc-encoding", "grpc-web": "grpc-encoding", connect: "connect-content-encoding" };
  const protocol = wire.split("+")[0] as keyof typeof encoding;
  const compression = gzipped ? { [isBare ? "content-encoding" : encoding[protocol]]: "gzip" } : {};
  return {
    protocol: protocol === "connect" && !isBare ? "connect-stream" : protocol,
    httpVersion: 2,
    caller,
    verb: "POST",
    path: `/${method.parent.typeName}/${method.name}`,
    headers: { "content-type": contentType, te: "trailers", ...compression },
    body: isBare ? Buffer.from(message) : framed(message, gzipped ? 1 : 0),
    ends,
    breaksOff: false,
    leaves: false,
  };
}

/** A message in a frame of the streaming protocols. */
export function framed(message: Uint8Array, flags = 0, length = message.length): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

/** A message as a wire writes it. */
export function encoded(method: DescMethod, wire: Wire, message: Message): Uint8Array {
  return wire.endsWith("json") ? Buffer.from(toJsonString(method.input, message)) : toBinary(method.input, message);
}

/**
 * So many fields that no message of the contract has, three bytes each; in JSON, a field with a
 * list of so many objects.
 */
export function unknownElements(wire: Wire, count: number): Uint8Array {
  if (wire.endsWith("json")) return Buffer.from(`{"nobodyKnowsThis":[${new Array(count).fill("{}").join(",")}]}`);
  return Buffer.alloc(count * 3, Buffer.from([0xe0, 0x76, 0x00]));
}
