import { type DescField, type DescMessage, type Message, type MessageShape, ScalarType } from "@bufbuild/protobuf";
import { digitsOf } from "../../src/domain/privacy/masking.ts";
import { CLASSES } from "../../src/rpc/shared/masking/string-fields.ts";

/** Danish numbers, as whoever writes texts spells them: each with its calling code, or without. */
const SPELLINGS: readonly ((national: string) => string)[] = [
  (national) => `+45${national}`,
  (national) => `0045${national}`,
  (national) => national,
  (national) => pairs(national).join(" "),
  (national) => pairs(national).join("\u00a0"),
  (national) => pairs(national).join("\u2013"),
  (national) => pairs(national).join("."),
  (national) => `(${national.slice(0, 2)})${national.slice(2, 4)}/${national.slice(4)}`,
  (national) => inDigits(national, 0xff10),
  (national) => inDigits(national, 0x660),
  (national) => [...national].join("\u200b"),
  (national) => `tel:${national}`,
  (national) => `sip:+45${national}@a`,
];

/** How many spellings there are. */
export const SPELLING_COUNT = SPELLINGS.length;

/** A national number in one spelling. */
export function spell(national: string, spelling: number): string {
  return SPELLINGS[spelling % SPELLINGS.length]?.(national) ?? national;
}

/** Fields that are of a fixed form, so that no number fits in. */
const OF_FIXED_FORM = new Set(["tandem.type.v1.NetworkIdentifiers.platform_media_address"]);
const MAX_LENGTHS: Readonly<Record<string, number>> = { codec: 32, customer_reference: 60, mos_algorithm: 64 };
const DEFAULT_LENGTH = 45;

/**
 * Puts numbers into every text of a record that is words or an id of others, as many as there is
 * room for.
 */
export function plant<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
  numbers: readonly string[],
): void {
  const holder = message as unknown as Record<string, unknown>;
  for (const field of schema.fields) {
    if (field.message) {
      for (const inner of [holder[field.localName]].flat()) if (inner) plant(field.message, inner as Message, numbers);
    } else if (isPlanted(field)) {
      holder[field.localName] = textOf(numbers, MAX_LENGTHS[field.name] ?? DEFAULT_LENGTH);
    }
  }
}

function isPlanted(field: DescField): boolean {
  const name = `${field.parent.typeName}.${field.name}`;
  const textClass = CLASSES.get(name);
  const isFree = textClass === "TEXT" || textClass === "ID";
  return field.scalar === ScalarType.STRING && isFree && !OF_FIXED_FORM.has(name);
}

/** As many of the numbers as fit, parted by words. */
export function textOf(numbers: readonly string[], maxLength: number): string {
  let text = "";
  for (const number of numbers) {
    const longer = text === "" ? number : `${text} x ${number}`;
    if ([...longer].length <= maxLength) text = longer;
  }
  return text;
}

/** A text of an answer, with where it stands. */
export interface FoundText {
  /** The field's full name. */
  readonly field: string;
  readonly text: string;
}

/** Every text of a message. */
export function textsOf(schema: DescMessage, message: Message): FoundText[] {
  const holder = message as unknown as Record<string, unknown>;
  return schema.fields.flatMap((field): FoundText[] => {
    const oneof = field.oneof ? (holder[field.oneof.localName] as { case?: string; value?: unknown }) : undefined;
    if (oneof && oneof.case !== field.localName) return [];
    const value = oneof ? oneof.value : holder[field.localName];
    const values = Array.isArray(value) ? value : [value];
    if (field.message) {
      const inner = field.message;
      return values.flatMap((each) => (each ? textsOf(inner, each as Message) : []));
    }
    const texts = values.filter((each): each is string => typeof each === "string" && each !== "");
    return texts.map((text) => ({ field: `${field.parent.typeName}.${field.name}`, text }));
  });
}

/** Whether a text shows a number, in whatever spelling. */
export function shows(text: string, national: string): boolean {
  return digitsOf(text).includes(national);
}

function pairs(national: string): string[] {
  return national.match(/../g) ?? [];
}

function inDigits(national: string, zero: number): string {
  return [...national].map((digit) => String.fromCodePoint(zero + Number(digit))).join("");
}
