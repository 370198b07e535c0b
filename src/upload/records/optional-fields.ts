import type { DescField, DescMessage, Message, MessageShape } from "@bufbuild/protobuf";
import type { RecordProblem } from "../../domain/calls/field-checks.ts";

/** A record without what was wrong in its optional fields, and what that was. */
export interface KeptRecord<M> {
  readonly message: M;
  readonly dropped: readonly RecordProblem[];
}

/**
 * Removes from a record each optional field that is wrong, so that the call itself is kept: the
 * contract says which fields these are. The message is not changed; a copy is returned when
 * something was dropped.
 * @param check finds the first optional field that is wrong
 */
export function dropWrongFields<T extends DescMessage>(
  schema: T,
  message: MessageShape<T>,
  check: (message: MessageShape<T>) => RecordProblem | undefined,
): KeptRecord<MessageShape<T>> {
  let kept = message;
  let found = check(kept);
  if (!found) return { message, dropped: NOTHING };
  const dropped: RecordProblem[] = [];
  for (; found && dropped.length < MOST_DROPPED; found = check(kept)) {
    dropped.push({ ...found, message: `${found.message}; it was dropped` });
    kept = without(schema, kept, placeOf(found.fieldPath ?? "", dropped.length > MANY_DROPPED)) as MessageShape<T>;
  }
  return { message: kept, dropped };
}

const NOTHING: readonly RecordProblem[] = [];
/**
 * After this many wrong fields, the whole part that holds the next is dropped, since each further
 * search reads the whole record.
 */
const MANY_DROPPED = 16;
/**
 * This many steps are enough for anything: after MANY_DROPPED, each drops a field of the record.
 */
const MOST_DROPPED = 64;

interface Step {
  readonly name: string;
  readonly index: number | undefined;
}

/** A part that says nothing without one of its fields is dropped whole when that field is wrong. */
const PARTS =
  /^((?:parties\.)?dialed|stream_qualities\[\d+\]|correlation\.interconnect_dialog|rounding_rule)\.(?:kind|value|direction|edge|call_id|increment_s|minimum_s)$/;

function placeOf(path: string, isWhole: boolean): readonly Step[] {
  const place = isWhole ? (path.split(/[.[]/)[0] ?? path) : (PARTS.exec(path)?.[1] ?? path);
  return place.split(".").map((text) => {
    const [, name = text, index] = /^([^[]+)\[(\d+)\]$/.exec(text) ?? [];
    return { name, index: index === undefined ? undefined : Number(index) };
  });
}

function without(schema: DescMessage, message: Message, [step, ...inner]: readonly Step[]): Message {
  const field = schema.fields.find(({ name }) => name === step?.name);
  if (!step || !field) throw new Error(`${schema.typeName} has no field ${step?.name}`);
  const copy: Message & Record<string, unknown> = { ...message };
  const value = copy[field.localName];
  const [next] = inner;
  if (next && field.message) {
    const list = value as Message[];
    copy[field.localName] =
      step.index === undefined
        ? without(field.message, value as Message, inner)
        : list.map((item, at) => (at === step.index ? without(field.message as DescMessage, item, inner) : item));
  } else if (step.index !== undefined)
    copy[field.localName] = (value as unknown[]).filter((_, at) => at !== step.index);
  else clear(copy, field);
  return copy;
}

const IMPLICIT = 2;
/** Most items of any list of a record. */
const MAX_ITEMS = 16;

function keptItems(items: readonly unknown[]): readonly unknown[] {
  return items.length > MAX_ITEMS ? items.slice(0, MAX_ITEMS) : [];
}

function clear(message: Record<string, unknown>, field: DescField): void {
  // Of too many items the first are kept; if that was not enough, none is.
  if (field.fieldKind === "list") message[field.localName] = keptItems(message[field.localName] as unknown[]);
  else if (field.presence === IMPLICIT) message[field.localName] = field.fieldKind === "enum" ? 0 : "";
  else delete message[field.localName];
}
