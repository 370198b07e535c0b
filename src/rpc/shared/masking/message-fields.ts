import type { DescField, Message } from "@bufbuild/protobuf";

/**
 * Each value of a field that is set, with how to replace it. Maps have none of these in the
 * contract.
 */
export function visitField(
  message: Message,
  field: DescField,
  each: (value: unknown, set: (value: unknown) => void) => void,
): void {
  const holder = message as unknown as Record<string, unknown>;
  if (field.oneof) {
    const oneof = holder[field.oneof.localName] as { case: string | undefined; value?: unknown };
    if (oneof.case === field.localName)
      each(oneof.value, (value) => {
        oneof.value = value;
      });
    return;
  }
  const value = holder[field.localName];
  if (field.fieldKind === "list") {
    const list = value as unknown[];
    for (const [at, item] of list.entries())
      each(item, (replaced) => {
        list[at] = replaced;
      });
  } else if (value !== undefined)
    each(value, (replaced) => {
      holder[field.localName] = replaced;
    });
}
