import { clone, type DescField, type DescMessage, type Message, type MessageShape } from "@bufbuild/protobuf";

/**
 * Every copy of a message in which one field, at any depth, has another value: its path, and the
 * copy.
 */
export function* changeEachField<T extends DescMessage>(
  schema: T,
  message: MessageShape<T>,
): Generator<{ path: string; changed: MessageShape<T> }> {
  for (const path of leafPaths(schema, message, [])) {
    const changed = clone(schema, message);
    changeAt(changed as Message, path);
    yield { path: path.map((step) => step.name).join("."), changed };
  }
}

interface PathStep {
  name: string;
  field: DescField;
  index?: number;
}

function* leafPaths(schema: DescMessage, message: Message, above: PathStep[]): Generator<PathStep[]> {
  for (const field of schema.fields) {
    const value = fieldsOf(message)[field.localName];
    if (field.message === undefined) yield [...above, { name: field.name, field }];
    else if (field.fieldKind === "list") {
      for (const [index, item] of (value as Message[]).entries())
        yield* leafPaths(field.message, item, [...above, { name: `${field.name}[${index}]`, field, index }]);
    } else if (value !== undefined)
      yield* leafPaths(field.message, value as Message, [...above, { name: field.name, field }]);
  }
}

function changeAt(message: Message, path: PathStep[]): void {
  let inner = fieldsOf(message);
  for (const { field, index } of path.slice(0, -1)) {
    const value = inner[field.localName];
    inner = fieldsOf((index === undefined ? value : (value as Message[])[index]) as Message);
  }
  const { localName } = (path.at(-1) as PathStep).field;
  inner[localName] = otherValue(inner[localName]);
}

function otherValue(value: unknown): unknown {
  switch (typeof value) {
    case "string":
      return `${value}9`;
    case "bigint":
      return value + 1n;
    case "boolean":
      return !value;
    case "number":
      return value + 1;
    default:
      return Array.isArray(value) ? [...value, 1] : undefined;
  }
}

function fieldsOf(message: Message): Record<string, unknown> {
  return message as unknown as Record<string, unknown>;
}
