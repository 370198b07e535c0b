import {
  type DescEnum,
  type DescExtension,
  type DescFile,
  type DescMessage,
  type DescService,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { TandemError } from "../domain/errors.ts";
import { limitTime } from "../domain/time-limit.ts";
import type {
  ServerReflectionRequestSchema,
  ServerReflectionResponseSchema,
  ServerReflection as V1,
} from "../gen/grpc/reflection/v1/reflection_pb.js";
import type { ServerReflection as V1Alpha } from "../gen/grpc/reflection/v1alpha/reflection_pb.js";
import type { AnonymousLimits } from "../port/anonymous-limits.ts";
import { untilAborted } from "../port/until-aborted.ts";
import { callerAddressKey } from "./shared/access/caller.ts";

type Request = MessageShape<typeof ServerReflectionRequestSchema>;
type Response = MessageInitShape<typeof ServerReflectionResponseSchema>;
type Answer = NonNullable<Response["messageResponse"]>;

/** How long a stream may live: it is open to anyone. */
const MAX_STREAM_MS = 600_000;
/** How many questions one stream may ask; a tool that reads the whole contract asks some dozens. */
const MAX_QUESTIONS = 1_000;
/**
 * google.rpc.Code.NOT_FOUND and INVALID_ARGUMENT, which the protocol answers inside of a message.
 */
const NOT_FOUND = 5;
const INVALID_ARGUMENT = 3;

/** Both versions of grpc.reflection, which are the same but for the package. */
export interface Reflection {
  readonly v1: ServiceImpl<typeof V1>;
  readonly v1alpha: ServiceImpl<typeof V1Alpha>;
}

/**
 * Lets clients read the contract of these services from the server. An answer is up to a thousand
 * times as long as its question: its files are encoded once, it is paid for by the caller's
 * address, and the next question waits until it was taken.
 */
export function createReflection(
  services: readonly DescService[],
  drain: AbortSignal,
  anonymous: AnonymousLimits,
): Reflection {
  const index = new DescriptorIndex(services);
  async function* serverReflectionInfo(
    requests: AsyncIterable<Request>,
    context: HandlerContext,
  ): AsyncGenerator<Response> {
    const address = context.values.get(callerAddressKey);
    using _place = anonymous.openStream(address);
    using limit = limitTime(MAX_STREAM_MS);
    const signal = AbortSignal.any([context.signal, drain, limit.signal]);
    let questions = 0;
    for await (const request of untilAborted(requests, signal)) {
      questions += 1;
      if (questions > MAX_QUESTIONS) throw tooManyQuestions();
      const messageResponse = index.answer(request.messageRequest);
      anonymous.spendAnswer(address, sizeOf(messageResponse));
      yield { validHost: request.host, originalRequest: request, messageResponse };
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
  readonly #encoded = new Map<DescFile, Uint8Array<ArrayBuffer>>();

  constructor(services: readonly DescService[]) {
    this.#services = services;
    const files = new Set<DescFile>();
    for (const service of services) withDependencies(service.file, files);
    for (const file of files) this.#addFile(file);
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
    const fileDescriptorProto = [...withDependencies(file)].map((each) => this.#encode(each));
    return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
  }

  #encode(file: DescFile): Uint8Array<ArrayBuffer> {
    const encoded = this.#encoded.get(file) ?? toBinary(FileDescriptorProtoSchema, file.proto);
    this.#encoded.set(file, encoded);
    return encoded;
  }

  #extensionsOf(typeName: string) {
    return [...this.#files.values()]
      .flatMap((file) => file.extensions)
      .filter(({ extendee }) => extendee.typeName === typeName);
  }

  #addFile(file: DescFile): void {
    this.#files.set(file.proto.name, file);
    for (const type of nestedTypes(file)) {
      const { kind, typeName } = type;
      this.#symbols.set(typeName, file);
      if (kind === "message") this.#messages.add(typeName);
      // An enum's values are named beside it, not within it.
      const scope = kind === "enum" ? typeName.slice(0, typeName.lastIndexOf(".")) : typeName;
      for (const { name } of membersOf(type)) this.#symbols.set(`${scope}.${name}`, file);
    }
  }
}

function membersOf(type: DescMessage | DescEnum | DescExtension | DescService): readonly { readonly name: string }[] {
  if (type.kind === "message") return [...type.fields, ...type.oneofs];
  if (type.kind === "service") return type.methods;
  return type.kind === "enum" ? type.values : [];
}

/** A file and all that it needs. */
function withDependencies(file: DescFile, files = new Set<DescFile>()): ReadonlySet<DescFile> {
  if (files.has(file)) return files;
  files.add(file);
  for (const dependency of file.dependencies) withDependencies(dependency, files);
  return files;
}

/** Of an answer with files, all of them; every other one is short. */
function sizeOf(answer: Answer): number {
  if (answer.case !== "fileDescriptorResponse") return 0;
  return (answer.value.fileDescriptorProto ?? []).reduce((sum, file) => sum + file.length, 0);
}

function tooManyQuestions(): TandemError {
  const metadata = { limit: String(MAX_QUESTIONS) };
  return new TandemError("RATE_LIMITED", "this stream has asked too much: use another one", metadata);
}

function failure(errorCode: number, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}
