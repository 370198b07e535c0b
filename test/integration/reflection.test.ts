// With grpc-js as the client: tools that use reflection are built on other stacks than ours.
import { create, createFileRegistry, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { Client, credentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  ExtensionRequestSchema,
  ServerReflection,
  ServerReflectionRequestSchema,
  ServerReflectionResponseSchema,
} from "../../src/gen/grpc/reflection/v1/reflection_pb.js";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { reasonOf } from "../support/refusal.ts";

type Question = MessageShape<typeof ServerReflectionRequestSchema>["messageRequest"];
type Answer = MessageShape<typeof ServerReflectionResponseSchema>["messageResponse"];

let app: Exchange;
let client: Client;
beforeAll(async () => {
  app = await startExchange();
  client = new Client(`127.0.0.1:${app.port}`, credentials.createInsecure());
});
afterAll(async () => {
  client.close();
  await app[Symbol.asyncDispose]();
});

test.each(["v1", "v1alpha"])("reflection %s lists every service", async (version) => {
  const [answer] = await ask(version, [{ case: "listServices", value: "" }]);
  if (answer?.case !== "listServicesResponse") throw new Error(`unexpected ${answer?.case}`);
  const names = answer.value.service.map(({ name }) => name);
  for (const name of [
    "tandem.carrier.v1.AgreementService",
    "tandem.carrier.v1.CdrService",
    "tandem.carrier.v1.DurationService",
    "tandem.carrier.v1.NumberService",
    "tandem.carrier.v1.ReconciliationService",
    "tandem.platform.v1.CarrierService",
    "tandem.platform.v1.CdrService",
    "tandem.platform.v1.NumberService",
    "tandem.platform.v1.PrivacyService",
    "tandem.platform.v1.ReconciliationService",
    "tandem.platform.v1.UsageService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
  ]) {
    expect(names).toContain(name);
  }
});

test("a symbol of any kind is answered with its file and all that it needs, in one stream", async () => {
  const symbols = [
    "tandem.carrier.v1.CdrService",
    "tandem.carrier.v1.CdrService.StreamCdrs",
    "tandem.carrier.v1.StreamCdrsRequest",
    "tandem.carrier.v1.StreamCdrsRequest.start",
  ];
  const answers = await ask(
    "v1",
    symbols.map((value) => ({ case: "fileContainingSymbol", value })),
  );
  expect(answers).toHaveLength(symbols.length);
  for (const answer of answers) {
    const registry = registryOf(answer);
    const service = registry.getService("tandem.carrier.v1.CdrService");
    expect(service?.methods.map(({ name }) => name)).toEqual(CdrService.methods.map(({ name }) => name));
  }
  const [reason] = await ask("v1", [{ case: "fileContainingSymbol", value: "tandem.type.v1.ERROR_REASON_DRAINING" }]);
  expect(registryOf(reason).getEnum("tandem.type.v1.ErrorReason")).toBeDefined();
});

test("a file is found by its name, the well-known ones too", async () => {
  const [own, wellKnown] = await ask("v1", [
    { case: "fileByFilename", value: "tandem/type/v1/party.proto" },
    { case: "fileByFilename", value: "google/protobuf/timestamp.proto" },
  ]);
  expect(registryOf(own).getMessage("tandem.type.v1.Party")).toBeDefined();
  expect(registryOf(wellKnown).getMessage("google.protobuf.Timestamp")).toBeDefined();
});

test("what is not there is NOT_FOUND within the stream, which goes on", async () => {
  const answers = await ask("v1", [
    { case: "fileByFilename", value: "nothing.proto" },
    { case: "fileContainingSymbol", value: "tandem.Nothing" },
    {
      case: "fileContainingExtension",
      value: create(ExtensionRequestSchema, { containingType: "tandem.type.v1.Party", extensionNumber: 7 }),
    },
    { case: "allExtensionNumbersOfType", value: "tandem.Nothing" },
    { case: "allExtensionNumbersOfType", value: "tandem.type.v1.Party" },
  ]);
  expect(answers.slice(0, 4).map((answer) => answer.case === "errorResponse" && answer.value.errorCode)).toEqual([
    5, 5, 5, 5,
  ]);
  expect(answers[4]).toMatchObject({ case: "allExtensionNumbersResponse", value: { extensionNumber: [] } });
});

test("can be switched off", async () => {
  await using closed = await startExchange({ reflection: "off" });
  const reflection = createClient(ServerReflection, closed.connect());
  expect(await reasonOf(reflection.serverReflectionInfo(nothing()))).toBe("UNIMPLEMENTED");
});

async function* nothing(): AsyncGenerator<never> {}

async function ask(version: string, questions: Question[]): Promise<Answer[]> {
  const stream = client.makeBidiStreamRequest(
    `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
    (question: Question) =>
      Buffer.from(
        toBinary(ServerReflectionRequestSchema, create(ServerReflectionRequestSchema, { messageRequest: question })),
      ),
    (bytes: Buffer) => fromBinary(ServerReflectionResponseSchema, bytes),
  );
  for (const question of questions) stream.write(question);
  stream.end();
  const responses = (await Array.fromAsync(stream)) as MessageShape<typeof ServerReflectionResponseSchema>[];
  return responses.map(({ messageResponse }) => messageResponse);
}

/** Links the files of an answer, which fails if one is missing. */
function registryOf(answer: Answer | undefined) {
  if (answer?.case !== "fileDescriptorResponse") throw new Error(`unexpected ${answer?.case}`);
  const file = answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
  return createFileRegistry(create(FileDescriptorSetSchema, { file: sortByDependency(file) }));
}

function sortByDependency<F extends { name: string; dependency: string[] }>(files: F[]): F[] {
  const sorted = new Set<F>();
  const add = (file: F) => {
    for (const name of file.dependency) {
      const dependency = files.find((other) => other.name === name);
      if (!dependency) throw new Error(`${file.name} needs ${name}, which was not sent`);
      if (!sorted.has(dependency)) add(dependency);
    }
    sorted.add(file);
  };
  for (const file of files) add(file);
  return [...sorted];
}
