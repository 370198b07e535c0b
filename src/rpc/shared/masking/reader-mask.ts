import type { DescField, DescMessage, Message } from "@bufbuild/protobuf";
import { maskedValue } from "../../../domain/calls/party.ts";
import { numberKeyOf, numbersOfParty } from "../../../domain/matching/number-keys.ts";
import { type MaskedNumber, maskText, plainDigits } from "../../../domain/privacy/masking.ts";
import type { Attribution } from "../../../gen/tandem/type/v1/call_detail_record_pb.js";
import { type Party, PartyKind, Presentation } from "../../../gen/tandem/type/v1/party_pb.js";
import { visitField } from "./message-fields.ts";
import { CLASSES, type TextClass } from "./string-fields.ts";

/** The party that a reader may see as it is, whatever they may not see of others. */
export type ShownParty = (party: Party) => boolean;

/**
 * Masks a message, in place, for a reader who may not see parties: the one function that does so.
 * Each text is masked as its field's class says; a record's texts also lose the numbers of its own
 * parties, in whatever spelling.
 * @param isShown whose number stays, besides that to which a record is attributed. The person whose
 *   data are exported; nobody, by default.
 */
export function maskForReader(schema: DescMessage, message: Message, isShown: ShownParty = () => false): void {
  const numbers = RECORDS.has(schema.typeName) ? collectNumbers(schema, message) : NO_NUMBERS;
  maskMessage(schema, message, { isShown, numbers });
}

/**
 * Notes the number that a record of an answer is attributed to, where the message itself does not
 * say it: readers see that number whole.
 */
export function attributeForReader<T extends Message>(record: T, phoneNumber: string | null | undefined): T {
  if (phoneNumber) attributed.set(record, phoneNumber);
  return record;
}

const attributed = new WeakMap<Message, string>();

/** Messages that are about one call, with all of its parties in them. */
const RECORDS: ReadonlySet<string> = new Set([
  "tandem.type.v1.CallDetailRecord",
  "tandem.type.v1.CallDuration",
  "tandem.type.v1.Discrepancy",
  "tandem.platform.v1.CallExplanation",
  "tandem.carrier.v1.CallExplanation",
]);
const PARTY = "tandem.type.v1.Party";
const ATTRIBUTION = "tandem.type.v1.Attribution";

interface RecordNumbers {
  /** Parties' numbers, to be masked in texts. */
  readonly masked: readonly MaskedNumber[];
  /** Parties that are names and no numbers, in lower case. */
  readonly names: readonly string[];
  /** The numbers that the record is attributed to. */
  readonly own: ReadonlySet<string>;
}

const NO_NUMBERS: RecordNumbers = { masked: [], names: [], own: new Set() };

interface Reading {
  readonly isShown: ShownParty;
  readonly numbers: RecordNumbers;
}

function maskMessage(schema: DescMessage, message: Message, reading: Reading): void {
  if (schema.typeName === PARTY) {
    maskPartyFor(message as Party, reading);
    return;
  }
  for (const field of schema.fields) {
    visitField(message, field, (value, set) => {
      if (field.message) {
        const isRecord = RECORDS.has(field.message.typeName) && reading.numbers === NO_NUMBERS;
        const numbers = isRecord ? collectNumbers(field.message, value as Message) : reading.numbers;
        maskMessage(field.message, value as Message, { ...reading, numbers });
      } else if (typeof value === "string" && value !== "")
        set(maskField(classOf(field, message), value, reading.numbers));
    });
  }
}

// A field that nobody has classified is masked; a test fails before that.
function classOf({ parent, name }: DescField, message: Message): TextClass {
  const found = CLASSES.get(`${parent.typeName}.${name}`) ?? "TEXT";
  if (found !== "EVIDENCE") return found;
  const { valueName } = message as unknown as { valueName: string };
  return valueName.startsWith("parties.") ? "MASKED_BEFORE" : "ID";
}

function maskField(textClass: TextClass, text: string, { masked, names }: RecordNumbers): string {
  switch (textClass) {
    case "ID":
    case "TEXT":
      return maskText(withoutNames(text, names), { shownAs: textClass, numbers: masked });
    case "PLAIN":
    case "NAME":
    case "OWN_NUMBER":
    case "MASKED_BEFORE":
    case "WRITTEN_MASKED":
    case "PARTY":
    case "EVIDENCE":
      return text;
    default:
      return textClass satisfies never;
  }
}

function maskPartyFor(party: Party, { isShown, numbers }: Reading): void {
  if (isOwn(party, numbers) || isShown(party)) return;
  maskParty(party);
}

function isOwn(party: Party, { own }: RecordNumbers): boolean {
  if (own.size === 0 || party.value === undefined) return false;
  if (own.has(party.value)) return true;
  const { kind, value, countryCode, presentation } = party;
  return numbersOfParty({ kind, value, countryCode, presentation }).some((number) => own.has(number));
}

/** Masks a party's number; it is left out if the party asked not to be shown. */
function maskParty(party: Party): void {
  const { kind, countryCode } = party;
  const isHidden = party.presentation === Presentation.RESTRICTED;
  const shown = isHidden ? undefined : maskedValue({ ...party, kind, countryCode });
  if (shown !== undefined) {
    party.value = shown;
    return;
  }
  delete party.value;
  if (isHidden) party.kind = PartyKind.RESTRICTED;
}

function collectNumbers(schema: DescMessage, message: Message): RecordNumbers {
  const parties: Party[] = [];
  const own = new Set<string>();
  collect(schema, message, parties, own);
  const masked = new Map<string, MaskedNumber>();
  const names = new Set<string>();
  const add = (nationalDigits: string, isHidden: boolean) => {
    if (nationalDigits.length < MIN_TOLD_DIGITS) return;
    const known = masked.get(nationalDigits);
    masked.set(nationalDigits, { nationalDigits, isHidden: isHidden || known?.isHidden === true });
  };
  for (const party of [...parties, ...[...own].map(ownParty)]) {
    const { kind, countryCode, value = "", presentation } = party;
    const key = numberKeyOf({ kind, countryCode, presentation, value: plainDigits(value) });
    const isHidden = presentation === Presentation.RESTRICTED;
    if (key?.form === "NAME") for (const name of namesOf(value)) names.add(name);
    else if (key && key.form !== "CODE") {
      for (const digits of key.nationalDigits) add(digits, isHidden);
      // A national spelling has a trunk prefix that the international one has not.
      if (key.form === "DIGITS") add(key.digits.replace(/^0+/, ""), isHidden);
    }
  }
  return { masked: [...masked.values()], names: [...names], own };
}

/** Fewer digits would occur in many ids by chance. */
const MIN_TOLD_DIGITS = 5;
const MIN_NAME = 3;

function ownParty(value: string): Pick<Party, "kind" | "value" | "countryCode" | "presentation"> {
  return { kind: PartyKind.E164, value, presentation: Presentation.UNSPECIFIED };
}

function collect(schema: DescMessage, message: Message, parties: Party[], own: Set<string>): void {
  const addOwn = (number: string | undefined) => {
    if (number) own.add(number);
  };
  addOwn(attributed.get(message));
  if (schema.typeName === PARTY) parties.push(message as Party);
  if (schema.typeName === ATTRIBUTION) addOwn((message as Attribution).phoneNumber);
  for (const field of schema.fields) {
    if (field.message)
      visitField(message, field, (value) => collect(field.message as DescMessage, value as Message, parties, own));
  }
}

// Of a URI also the user, where it is long enough to be told from other words.
function namesOf(value: string): string[] {
  const name = value.toLowerCase();
  const user = /^(?:sips?|tel):([^@;]+)/.exec(name)?.[1] ?? "";
  return [name, user].filter((each) => each.length >= MIN_NAME);
}

function withoutNames(text: string, names: readonly string[]): string {
  let shown = text;
  for (const name of names) shown = shown.replaceAll(new RegExp(RegExp.escape(name), "giu"), "***");
  return shown;
}
