import {
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type Message,
  toBinary,
} from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import {
  type ChannelOptions,
  type Client,
  credentials,
  Metadata,
  makeGenericClientConstructor,
  type ServiceError,
} from "@grpc/grpc-js";
import { type ErrorInfo, ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../src/gen/google/rpc/status_pb.js";

/** A client of grpc-js, the gRPC that most Node programs use: it shares no code with our server. */
export function createGrpcJsClient<S extends DescService>(
  service: S,
  url: string,
  options: ChannelOptions = {},
): Client & Disposable {
  const definitions = service.methods.map((method) => [method.localName, definitionOf(method)]);
  const GrpcClient = makeGenericClientConstructor(Object.fromEntries(definitions), service.typeName);
  const client = new GrpcClient(new URL(url).host, credentials.createInsecure(), options);
  return Object.assign(client, { [Symbol.dispose]: () => client.close() });
}

/** Call metadata with a bearer token. */
export function bearer(token: string): Metadata {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  return metadata;
}

/** The ErrorInfo in an error's grpc-status-details-bin: exactly one. */
export function errorInfoOf(error: ServiceError): ErrorInfo {
  const [encoded] = error.metadata.get("grpc-status-details-bin");
  if (!(encoded instanceof Uint8Array)) throw new Error(`no details: ${error.message}`);
  const status = fromBinary(StatusSchema, encoded);
  if (status.code !== Number(error.code)) throw new Error(`details of code ${status.code}, status ${error.code}`);
  const infos = status.details.flatMap((detail) => anyUnpack(detail, ErrorInfoSchema) ?? []);
  if (infos.length !== 1 || !infos[0]) throw new Error(`${infos.length} times ErrorInfo`);
  return infos[0];
}

function definitionOf(method: DescMethod) {
  const streams = { requestStream: method.methodKind.startsWith("client") || method.methodKind.startsWith("bidi") };
  const responseStream = method.methodKind !== "unary" && method.methodKind !== "client_streaming";
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    ...streams,
    responseStream,
    requestSerialize: encode(method.input),
    requestDeserialize: decode(method.input),
    responseSerialize: encode(method.output),
    responseDeserialize: decode(method.output),
  };
}

function encode(schema: DescMessage) {
  return (message: Message) => Buffer.from(toBinary(schema, message));
}

function decode(schema: DescMessage) {
  return (bytes: Buffer) => fromBinary(schema, bytes);
}
