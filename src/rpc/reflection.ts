import {
  type DescEnum,
  type DescFile,
  type DescMessage,
  type DescService,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type {
  ServerReflectionRequestSchema,
  ServerReflectionResponseSchema,
  ServerReflection as V1,
} from "../gen/grpc/reflection/v1/reflection_pb.js";
import type { ServerReflection as V1Alpha } from "../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { untilAborted } from "./until-aborted.ts";

type Request = MessageShape<typeof ServerReflectionRequestSchema>;
type Response = MessageInitShape<typeof ServerReflectionResponseSchema>;
type Answer = NonNullable<Response["messageResponse"]>;

/** How long a stream may live: it is open to anyone. */
const MAX_STREAM_MS = 600_000;
/** google.rpc.Code.NOT_FOUND and INVALID_ARGUMENT, which the protocol answers inside of a message. */
const NOT_FOUND = 5;
const INVALID_ARGUMENT = 3;

/** Both versions of grpc.reflection, which are the same but for the package. */
export interface Reflection {
  readonly v1: ServiceImpl<typeof V1>;
  readonly v1alpha: ServiceImpl<typeof V1Alpha>;
}

/** Lets clients read the contract of these services from the server. */
export function createReflection(services: readonly DescService[], drain: AbortSignal): Reflection {
  const index = new DescriptorIndex(services);
  async function* serverReflectionInfo(
    requests: AsyncIterable<Request>,
    context: HandlerContext,
  ): AsyncGenerator<Response> {
    const signal = AbortSignal.any([context.signal, drain, AbortSignal.timeout(MAX_STREAM_MS)]);
    for await (const request of untilAborted(requests, signal)) {
      yield {
        validHost: request.host,
        originalRequest: request,
        messageResponse: index.answer(request.messageRequest),
      };
    }
  }
  const v1 = { serverReflectionInfo };
  return { v1, v1alpha: v1 as unknown as ServiceImpl<typeof V1Alpha> };
}

class DescriptorIndex {
  readonly #services: readonly DescService[];
  readonly #files = new Map<string, DescFile>();
  readonly #symbols = new Map<string, DescFile>();
  readonly #messages = new Set<string>();

  constructor(services: readonly DescService[]) {
    this.#services = services;
    for (const service of services) this.#addFile(service.file);
  }

  answer(request: Request["messageRequest"]): Answer {
    switch (request.case) {
      case "listServices":
        return {
          case: "listServicesResponse",
          value: { service: this.#services.map((service) => ({ name: service.typeName })) },
        };
      case "fileByFilename":
        return this.#describe(this.#files.get(request.value), `file ${request.value}`);
      case "fileContainingSymbol":
        return this.#describe(this.#symbols.get(request.value.replace(/^\./, "")), `symbol ${request.value}`);
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = request.value;
        const extension = this.#extensionsOf(containingType).find(({ number }) => number === extensionNumber);
        return this.#describe(extension?.file, `extension ${extensionNumber} of ${containingType}`);
      }
      case "allExtensionNumbersOfType": {
        if (!this.#messages.has(request.value)) return failure(NOT_FOUND, `no message ${request.value}`);
        const extensionNumber = this.#extensionsOf(request.value).map(({ number }) => number);
        return { case: "allExtensionNumbersResponse", value: { baseTypeName: request.value, extensionNumber } };
      }
      case undefined:
        return failure(INVALID_ARGUMENT, "the request asks for nothing");
      default:
        return request satisfies never;
    }
  }

  /** The file and all that it needs, so that a client has it whole after one question. */
  #describe(file: DescFile | undefined, what: string): Answer {
    if (!file) return failure(NOT_FOUND, `no ${what}`);
    const files = new Set<DescFile>();
    collectFiles(file, files);
    const fileDescriptorProto = [...files].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
    return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
  }

  #extensionsOf(typeName: string) {
    return [...this.#files.values()]
      .flatMap((file) => file.extensions)
      .filter(({ extendee }) => extendee.typeName === typeName);
  }

  #addFile(file: DescFile): void {
    if (this.#files.has(file.proto.name)) return;
    this.#files.set(file.proto.name, file);
    for (const dependency of file.dependencies) this.#addFile(dependency);
    for (const service of file.services) {
      this.#symbols.set(service.typeName, file);
      for (const method of service.methods) this.#symbols.set(`${service.typeName}.${method.name}`, file);
    }
    for (const message of file.messages) this.#addMessage(message);
    for (const descEnum of file.enums) this.#addEnum(descEnum);
    for (const extension of file.extensions) this.#symbols.set(extension.typeName, file);
  }

  #addMessage(message: DescMessage): void {
    this.#messages.add(message.typeName);
    this.#symbols.set(message.typeName, message.file);
    for (const member of [...message.fields, ...message.oneofs]) {
      this.#symbols.set(`${message.typeName}.${member.name}`, message.file);
    }
    for (const nested of message.nestedMessages) this.#addMessage(nested);
    for (const nested of message.nestedEnums) this.#addEnum(nested);
    for (const extension of message.nestedExtensions) this.#symbols.set(extension.typeName, message.file);
  }

  #addEnum(descEnum: DescEnum): void {
    this.#symbols.set(descEnum.typeName, descEnum.file);
    // An enum's values are named beside it, not within it.
    const scope = descEnum.typeName.slice(0, descEnum.typeName.lastIndexOf(".") + 1);
    for (const value of descEnum.values) this.#symbols.set(`${scope}${value.name}`, descEnum.file);
  }
}

function collectFiles(file: DescFile, files: Set<DescFile>): void {
  if (files.has(file)) return;
  files.add(file);
  for (const dependency of file.dependencies) collectFiles(dependency, files);
}

function failure(errorCode: number, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}
