// A plugin of protoc and buf: describes the unary methods as OpenAPI 3.1, as this server speaks
// Connect with JSON. It prints what it makes; scripts/openapi.ts runs it.
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { createEcmaScriptPlugin, type Schema as Input, runNodeJs } from "@bufbuild/protoplugin";
import { described, type Json, OpenApiSchemas } from "./openapi-schemas.ts";

runNodeJs(
  createEcmaScriptPlugin({
    name: "protoc-gen-openapi",
    version: "v1",
    generateTs: (input) => input.generateFile("openapi.json").print(JSON.stringify(describe(input), undefined, 2)),
  }),
);

function describe({ files }: Input): Json {
  const services = files.flatMap((file) => file.services);
  const methods = services.flatMap((service) => service.methods).filter(({ methodKind }) => methodKind === "unary");
  const schemas = new OpenApiSchemas(methods);
  const paths = methods.map((method) => [`/${method.parent.typeName}/${method.name}`, pathOf(method, schemas)]);
  return {
    openapi: "3.1.0",
    info: {
      title: "Tandem",
      version: "v1",
      description: INFO,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "http://127.0.0.1:7443", description: "`npm start` on your machine" }],
    security: [{ bearer: [] }],
    tags: services.filter(hasUnary).map((service) => ({ name: service.typeName, ...described(service) })),
    paths: Object.fromEntries(paths),
    components: {
      schemas: schemas.list(),
      responses: RESPONSES,
      securitySchemes: { bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" } },
    },
  };
}

function hasUnary({ methods }: DescService): boolean {
  return methods.some(({ methodKind }) => methodKind === "unary");
}

function pathOf(method: DescMethod, schemas: OpenApiSchemas): Json {
  const request = { "application/json": { schema: schemas.refer(method.input, "request") } };
  const answer = { "application/json": { schema: schemas.refer(method.output, "answer") } };
  const common = {
    tags: [method.parent.typeName],
    ...described(method),
    responses: {
      "200": { description: "The answer.", content: answer },
      ...Object.fromEntries(
        Object.keys(RESPONSES).map((status) => [status, { $ref: `#/components/responses/${status}` }]),
      ),
    },
  };
  const id = `${method.parent.typeName}.${method.name}`;
  const post = { operationId: id, ...common, requestBody: { required: true, content: request } };
  if (method.idempotency !== Idempotency.NO_SIDE_EFFECTS) return { post };
  const parameters = [
    { name: "encoding", in: "query", required: true, schema: { type: "string", enum: ["json"] } },
    { name: "message", in: "query", required: true, description: "The request.", content: request },
  ];
  return { get: { operationId: `${id}.get`, ...common, parameters }, post };
}

const ERROR = { "application/json": { schema: { $ref: "#/components/schemas/connect.Error" } } };
const withError = (description: string): Json => ({ description, content: ERROR });
/** The server's HTTP layer answers these without a body, or a method with an error. */
const withoutContent = (description: string): Json => ({ description });

/** By HTTP status: what a call may come to besides its answer. */
const RESPONSES: { readonly [status: string]: Json } = {
  "400": withError("invalid_argument, failed_precondition or out_of_range: the request cannot be done as it is."),
  "401": withError("unauthenticated: no credential, or one that is not good, or no longer."),
  "403": withError("permission_denied: this caller may not do this."),
  "404": withoutContent("not_found: there is no such thing, and the body is an error as with 400. Or no such method."),
  "405": withoutContent("The method is not called by this HTTP method."),
  "409": withError("already_exists or aborted: something else is there, or came first."),
  "415": withoutContent("The content-type is not application/json or application/proto."),
  "429": withError("resource_exhausted: over a limit; RetryInfo says when to come again, where that helps."),
  "431": withoutContent("The headers are over 16 KiB."),
  "499": withError("canceled: the client left."),
  "500": withError("internal: a fault of the server, with its id."),
  "501": withError("unimplemented: no such method, or an encoding that the server does not know."),
  "503": withError("unavailable: call again, as RetryInfo says."),
  "504": withError("deadline_exceeded: the call took longer than it was given."),
};

const INFO = [
  "The unary methods of Tandem's contract over HTTP with JSON, which is how Connect speaks.",
  "Streams are not in this document: see docs/languages.md.",
  "",
  "int64 is a text, since JSON numbers lose digits. A field that is not set may be left out or null; in an answer it is left out.",
].join("\n");
