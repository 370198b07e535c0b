import {
  type AnyDesc,
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescMethod,
  ScalarType,
} from "@bufbuild/protobuf";
import { getComments } from "@bufbuild/protoplugin";

/** What JSON.stringify takes. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };
type JsonSchema = { readonly [name: string]: Json };

/**
 * Which way a message goes. The server refuses fields that it does not know, and takes null for a
 * field that is not set; what it answers may have fields of a newer contract, and never null.
 */
export type Direction = "request" | "answer";

/** JSON schemas of the messages of methods, as protobuf writes them in JSON. */
export class OpenApiSchemas {
  readonly #requests = new Map<string, DescMessage>();
  readonly #answers = new Map<string, DescMessage>();
  readonly #enums = new Map<string, DescEnum>();

  constructor(methods: readonly DescMethod[]) {
    for (const { input, output } of methods) {
      this.#collect(input, this.#requests);
      this.#collect(output, this.#answers);
    }
  }

  /** A reference to a message's schema. */
  refer(message: DescMessage, direction: Direction): JsonSchema {
    return { $ref: `#/components/schemas/${this.#nameOf(message, direction)}` };
  }

  /** Every schema, by name. */
  list(): { readonly [name: string]: JsonSchema } {
    const schemas = [
      ...[...this.#requests.values()].map((message) => this.#entry(message, "request")),
      ...[...this.#answers.values()].map((message) => this.#entry(message, "answer")),
      ...[...this.#enums.values()].map((desc) => [desc.typeName, enumSchema(desc)] as const),
      ["connect.Error", ERROR] as const,
    ];
    return Object.fromEntries(schemas.toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  #collect(message: DescMessage, into: Map<string, DescMessage>): void {
    if (into.has(message.typeName) || message.typeName in WELL_KNOWN) return;
    into.set(message.typeName, message);
    for (const field of message.fields) {
      if (field.message) this.#collect(field.message, into);
      if (field.enum) this.#enums.set(field.enum.typeName, field.enum);
    }
  }

  // A message that goes both ways has a schema for each.
  #nameOf({ typeName }: DescMessage, direction: Direction): string {
    return direction === "request" && this.#answers.has(typeName) ? `${typeName}.Request` : typeName;
  }

  #entry(message: DescMessage, direction: Direction): readonly [string, JsonSchema] {
    const properties = message.fields.map((field) => [field.jsonName, this.#property(field, direction)]);
    const schema: JsonSchema = {
      type: "object",
      ...described(message),
      properties: Object.fromEntries(properties),
      ...(direction === "request" ? { additionalProperties: false } : {}),
      ...exclusions(message),
    };
    return [this.#nameOf(message, direction), schema];
  }

  #property(field: DescField, direction: Direction): JsonSchema {
    const value = this.#value(field, direction);
    const schema = direction === "request" ? orNull(value) : value;
    return { ...described(field), ...schema };
  }

  #value(field: DescField, direction: Direction): JsonSchema {
    if (field.fieldKind === "map") throw new Error(`${field.name}: the contract has no maps`);
    const one = this.#single(field, direction);
    return field.fieldKind === "list" ? { type: "array", items: one } : one;
  }

  #single(field: DescField, direction: Direction): JsonSchema {
    if (field.enum) return enumValue(field.enum, direction);
    if (field.message) return WELL_KNOWN[field.message.typeName] ?? this.refer(field.message, direction);
    const schema = field.scalar === undefined ? undefined : SCALARS[field.scalar];
    if (!schema) throw new Error(`${field.name}: no schema for its type`);
    return schema;
  }
}

/** The comment of the contract, as a description. */
export function described(desc: Exclude<AnyDesc, { readonly kind: "file" }>): { readonly description?: string } {
  const text = getComments(desc).leading?.trim().replaceAll(/\n */g, "\n");
  return text ? { description: text.replaceAll(/([^\n])\n(?!\n|[-*|])/g, "$1 ") } : {};
}

function orNull(schema: JsonSchema): JsonSchema {
  const { type, anyOf } = schema;
  if (Array.isArray(anyOf)) return { anyOf: [...anyOf, { type: "null" }] };
  return typeof type === "string" ? { ...schema, type: [type, "null"] } : { anyOf: [schema, { type: "null" }] };
}

/** Of a oneof's fields one may be set at most. */
function exclusions({ oneofs }: DescMessage): JsonSchema {
  const pairs = oneofs.flatMap(({ fields }) =>
    fields.flatMap((a, index) => fields.slice(index + 1).map((b) => [a.jsonName, b.jsonName])),
  );
  return pairs.length === 0 ? {} : { allOf: pairs.map((required) => ({ not: { required } })) };
}

// The server takes an enum's number, as protobuf asks, and answers with names.
function enumValue({ typeName }: DescEnum, direction: Direction): JsonSchema {
  const named = { $ref: `#/components/schemas/${typeName}` };
  return direction === "answer" ? named : { anyOf: [named, SCALARS[ScalarType.INT32] ?? {}] };
}

function enumSchema(desc: DescEnum): JsonSchema {
  const values = desc.values.map((value) => {
    const { description = "" } = described(value);
    return `- ${value.name}: ${description}`;
  });
  const { description = "" } = described(desc);
  return {
    type: "string",
    description: [description, ...values].filter(Boolean).join("\n"),
    enum: desc.values.map(({ name }) => name),
  };
}

// Text only: JSON numbers lose digits beyond 2^53.
const WHOLE_64: JsonSchema = { type: "string", pattern: "^-?[0-9]{1,19}$" };

const SCALARS: Readonly<Partial<Record<ScalarType, JsonSchema>>> = {
  [ScalarType.STRING]: { type: "string" },
  [ScalarType.BYTES]: { type: "string", contentEncoding: "base64" },
  [ScalarType.BOOL]: { type: "boolean" },
  [ScalarType.INT32]: { type: "integer", format: "int32", minimum: -(2 ** 31), maximum: 2 ** 31 - 1 },
  [ScalarType.INT64]: WHOLE_64,
  [ScalarType.DOUBLE]: { type: "number", format: "double" },
};

const WELL_KNOWN: Readonly<Record<string, JsonSchema>> = {
  "google.protobuf.Timestamp": { type: "string", format: "date-time" },
  "google.protobuf.Duration": { type: "string", pattern: "^-?[0-9]{1,12}(\\.[0-9]{1,9})?s$" },
  "google.protobuf.FieldMask": { type: "string" },
};

const ERROR: JsonSchema = {
  type: "object",
  description:
    "An error of Connect. Its details have one google.rpc.ErrorInfo of domain `tandem`, whose reason is one of " +
    "tandem.type.v1.ErrorReason without the prefix, and often google.rpc.RetryInfo or google.rpc.BadRequest.",
  required: ["code"],
  properties: {
    code: {
      type: "string",
      enum: (
        "canceled unknown invalid_argument deadline_exceeded not_found already_exists permission_denied " +
        "resource_exhausted failed_precondition aborted out_of_range unimplemented internal unavailable data_loss unauthenticated"
      ).split(" "),
    },
    message: { type: "string", description: "For people. No program should read it." },
    details: {
      type: "array",
      items: {
        type: "object",
        required: ["type", "value"],
        properties: {
          type: { type: "string", description: "The name of the message, such as google.rpc.ErrorInfo." },
          value: { type: "string", contentEncoding: "base64", description: "The message in protobuf's binary form." },
          debug: { description: "The message in JSON, for people and for languages without protobuf." },
        },
      },
    },
  },
};
