import { readFile } from "node:fs/promises";
import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { Validator } from "@seriousme/openapi-schema-validator";
import { describe, expect, test } from "vitest";
import { listMethods } from "../support/contract.ts";

interface Schema {
  readonly type?: string | readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly pattern?: string;
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly allOf?: readonly { readonly not: { readonly required: readonly string[] } }[];
  readonly additionalProperties?: boolean;
}

interface Operation {
  readonly requestBody?: { readonly content: Content };
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly content?: Content }[];
  readonly responses: Readonly<Record<string, object>>;
}

type Content = { readonly "application/json": { readonly schema: Schema } };

const document = JSON.parse(await readFile(new URL("../../docs/openapi.json", import.meta.url), "utf8")) as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, Schema>>;
    readonly responses: Readonly<Record<string, { readonly content?: object }>>;
  };
};
const { paths, components } = document;

const METHODS = [...(await listMethods("carrier")), ...(await listMethods("platform"))].filter(
  ({ methodKind }) => methodKind === "unary",
);
const requests = messagesOf(METHODS.map(({ input }) => input));
const answers = messagesOf(METHODS.map(({ output }) => output));

/** These messages and all that is in them, but for those that JSON has a form of its own for. */
function messagesOf(roots: readonly DescMessage[], found = new Map<string, DescMessage>()): Map<string, DescMessage> {
  for (const message of roots) {
    if (found.has(message.typeName) || message.typeName.startsWith("google.protobuf.")) continue;
    found.set(message.typeName, message);
    messagesOf(
      message.fields.flatMap((field) => field.message ?? []),
      found,
    );
  }
  return found;
}

const requestSchema = ({ typeName }: DescMessage) =>
  components.schemas[answers.has(typeName) ? `${typeName}.Request` : typeName];
const fieldsOf = (messages: Map<string, DescMessage>) => [...messages.values()].flatMap(({ fields }) => fields);
const isWhole64 = ({ scalar, fieldKind }: DescField) => scalar === ScalarType.INT64 && fieldKind === "scalar";

describe("docs/openapi.json", () => {
  test("is valid by the official schema of OpenAPI 3.1", async () => {
    const validator = new Validator();
    const { valid, errors } = await validator.validate(document as never);
    expect(errors).toBeUndefined();
    expect(valid).toBe(true);
    expect(validator.version).toBe("3.1");
  });

  test("has every unary method as a POST, those that are read by address as a GET too, and nothing else", () => {
    const expected = METHODS.map((method) => [
      `/${method.parent.typeName}/${method.name}`,
      method.idempotency === Idempotency.NO_SIDE_EFFECTS ? ["get", "post"] : ["post"],
    ]);
    const found = Object.entries(paths).map(([path, operations]) => [path, Object.keys(operations)]);
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(expected));
  });

  test("asks for no header but the credential, and says of what has no body that it has none", () => {
    for (const operation of Object.values(paths).flatMap((operations) => Object.values(operations))) {
      expect(operation.parameters?.filter((parameter) => parameter.in === "header") ?? []).toEqual([]);
      for (const status of ["404", "405", "415"]) expect(operation.responses).toHaveProperty(status);
    }
    for (const status of ["404", "405", "415"]) expect(components.responses[status]).not.toHaveProperty("content");
  });

  test("says of int64 that it is a text, in requests and answers", () => {
    const wholes = [...fieldsOf(requests), ...fieldsOf(answers)].filter(isWhole64);
    expect(wholes.length).toBeGreaterThan(50);
    for (const field of wholes) {
      const schemas = [components.schemas[field.parent.typeName], requestSchema(field.parent)];
      for (const schema of schemas.flatMap((each) => each?.properties?.[field.jsonName] ?? [])) {
        expect([schema.type].flat().filter((type) => type !== "null")).toEqual(["string"]);
        const pattern = new RegExp(schema.pattern ?? "^$");
        for (const text of ["0", "-1", "9223372036854775807", "-9223372036854775808"]) expect(text).toMatch(pattern);
        for (const text of ["", "1.0", "1e3", "+1", " 1", "0x1"]) expect(text).not.toMatch(pattern);
      }
    }
  });

  test("lets every field of a request be null and refuses others; of an answer, the other way round", () => {
    const isNullable = ({ type, anyOf }: Schema) =>
      [type].flat().includes("null") || (anyOf?.some((each) => each.type === "null") ?? false);
    for (const message of requests.values()) {
      const schema = requestSchema(message);
      expect(schema?.additionalProperties, message.typeName).toBe(false);
      expect(Object.keys(schema?.properties ?? {}), message.typeName).toEqual(
        message.fields.map(({ jsonName }) => jsonName),
      );
      expect(Object.values(schema?.properties ?? {}).every(isNullable), message.typeName).toBe(true);
    }
    for (const { typeName } of answers.values()) {
      const schema = components.schemas[typeName];
      expect(schema?.additionalProperties, typeName).toBeUndefined();
      expect(Object.values(schema?.properties ?? {}).some(isNullable), typeName).toBe(false);
    }
  });

  test("says of a oneof that no two of its fields are there", () => {
    const withOneofs = [...requests.values()].filter(({ oneofs }) => oneofs.length > 0);
    expect(withOneofs.length).toBeGreaterThan(3);
    for (const message of withOneofs) {
      const refused = requestSchema(message)?.allOf?.map(({ not }) => [...not.required].toSorted().join());
      const pairs = message.oneofs.flatMap(({ fields }) =>
        fields.flatMap((a) => fields.filter((b) => a.jsonName < b.jsonName).map((b) => `${a.jsonName},${b.jsonName}`)),
      );
      expect(refused?.toSorted(), message.typeName).toEqual(pairs.toSorted());
    }
  });
});
