import { create, type DescMessage, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import { e164Of } from "../domain/calls/party.ts";
import { countryOfNumber } from "../domain/carriers/country.ts";
import { hash64, idTexts } from "../domain/matching/signalling-ids.ts";
import type { ErasedNumber } from "../domain/privacy/erased-number.ts";
import {
  type ErasureScope,
  erasedParty,
  PARTY_NAMES,
  type PartyName,
  partiesInRole,
  reachesSubscriber,
} from "../domain/privacy/erasure.ts";
import { CDR, type RecordKind } from "../domain/record-kind.ts";
import { microsFromTimestamp } from "../domain/time/instant.ts";
import { RestatementSchema } from "../gen/tandem/platform/v1/usage_pb.js";
import { CallDetailRecordSchema } from "../gen/tandem/type/v1/call_detail_record_pb.js";
import { CallDurationSchema } from "../gen/tandem/type/v1/call_duration_pb.js";
import { DiscrepancySchema } from "../gen/tandem/type/v1/discrepancy_pb.js";
import { ErasureEntrySchema } from "../gen/tandem/type/v1/erasure_pb.js";
import { type Party, PartySchema } from "../gen/tandem/type/v1/party_pb.js";
import { PhoneNumberSchema } from "../gen/tandem/type/v1/phone_number_pb.js";

// Decodes parts of records, erases a number, and encodes them again.

export interface Erasing {
  readonly number: ErasedNumber;
  readonly role: number;
}

export interface ErasedParts {
  readonly payload: Buffer;
  /** Of a call detail record that has network identifiers. */
  readonly network?: Buffer;
  readonly parties: ReadonlySet<PartyName>;
}

/**
 * A record without the number; undefined when it is not in it in that role.
 * @param network of a call detail record that has network identifiers.
 */
export function eraseRecord(
  kind: RecordKind,
  payload: Uint8Array,
  network: Uint8Array | undefined,
  erasing: Erasing,
): ErasedParts | undefined {
  return kind === CDR ? eraseCdr(payload, network, erasing) : eraseDuration(payload, erasing);
}

function eraseCdr(payload: Uint8Array, network: Uint8Array | undefined, erasing: Erasing) {
  const message = fromBinary(CallDetailRecordSchema, payload);
  const holder = message.parties ?? {};
  const inRole = partiesInRole(erasing.role, message.direction, message.parties?.redirecting !== undefined);
  const found = eraseParties(holder, inRole, erasing.number);
  const attribution = reachesSubscriber(erasing.role) && erasing.number.isNumber(message.attribution?.phoneNumber);
  if (attribution && message.attribution) message.attribution.phoneNumber = "";
  const isElsewhere = hasParty(holder, erasing.number);
  const isText = !isElsewhere && maskTexts(CallDetailRecordSchema, message, erasing.number);
  const identifiers = network && fromBinary(CallDetailRecordSchema, network);
  const isAgent = identifiers && maskTexts(CallDetailRecordSchema, identifiers, erasing.number);
  if (found.size === 0 && !attribution && !isText && !isAgent) return undefined;
  return {
    payload: Buffer.from(toBinary(CallDetailRecordSchema, message)),
    ...(identifiers && isAgent && { network: Buffer.from(toBinary(CallDetailRecordSchema, identifiers)) }),
    parties: found,
  };
}

/** Whether the number takes part in a call detail record's call, in whatever role. */
export function isInCdr(payload: Uint8Array, number: ErasedNumber): boolean {
  return hasParty(fromBinary(CallDetailRecordSchema, payload).parties ?? {}, number);
}

function eraseDuration(payload: Uint8Array, erasing: Erasing): ErasedParts | undefined {
  const message = fromBinary(CallDurationSchema, payload);
  const inRole = partiesInRole(erasing.role, message.direction, message.redirecting !== undefined);
  const parties = eraseParties(message, inRole, erasing.number);
  const isText = !hasParty(message, erasing.number) && maskTexts(CallDurationSchema, message, erasing.number);
  if (parties.size === 0 && !isText) return undefined;
  return { payload: Buffer.from(toBinary(CallDurationSchema, message)), parties };
}

/** Hashes of masked signalling ids, each with its new value. */
export function changedIdKeys(kind: RecordKind, before: Uint8Array, after: Uint8Array): [bigint, bigint][] {
  const was = idTextsOf(kind, before);
  return idTextsOf(kind, after).flatMap((texts, at): [bigint, bigint][] => {
    const gone = was[at]?.filter((text) => !texts.includes(text)) ?? [];
    const added = texts.filter((text) => !was[at]?.includes(text));
    return gone.flatMap((old, index) => {
      const text = added[index];
      return text === undefined ? [] : [[hash64(old), hash64(text)] as [bigint, bigint]];
    });
  });
}

function idTextsOf(kind: RecordKind, payload: Uint8Array): readonly (readonly string[])[] {
  const schema = kind === CDR ? CallDetailRecordSchema : CallDurationSchema;
  const { correlation } = fromBinary<typeof CallDetailRecordSchema | typeof CallDurationSchema>(schema, payload);
  const { interconnectDialog: dialog, icid, sessionId } = correlation ?? {};
  return idTexts({ dialogCallId: dialog?.callId, icid, sessionId });
}

/** A discrepancy without the number in any role; undefined: it is not in it. */
export function eraseDiscrepancy(payload: Uint8Array, number: ErasedNumber): Buffer | undefined {
  const message = fromBinary(DiscrepancySchema, payload);
  const found = eraseParties(message, ["calling", "called"], number);
  const isText = maskTexts(DiscrepancySchema, message, number);
  return found.size > 0 || isText ? Buffer.from(toBinary(DiscrepancySchema, message)) : undefined;
}

/** A restatement without the number in the lines of some days; undefined: it is in none. */
export function eraseRestatement(
  payload: Uint8Array,
  number: ErasedNumber,
  days: { first: string; last: string },
): Buffer | undefined {
  const message = fromBinary(RestatementSchema, payload);
  let isFound = false;
  for (const { key } of message.lines) {
    if (key === undefined || !number.isNumber(key.phoneNumber)) continue;
    if (key.usageDate !== undefined && (key.usageDate < days.first || key.usageDate > days.last)) continue;
    key.phoneNumber = "";
    isFound = true;
  }
  return isFound ? Buffer.from(toBinary(RestatementSchema, message)) : undefined;
}

/** Numbers-feed entries that held within a scope, without the number, by sequence. */
export function eraseNumberEntries<Entry extends { payload: Buffer }>(
  entries: readonly Entry[],
  { number, start, end }: ErasureScope,
): Entry[] {
  const read = entries.map((entry) => ({ entry, message: fromBinary(PhoneNumberSchema, entry.payload) }));
  return read.flatMap(({ entry, message }, index) => {
    const from = message.effectiveStartTime ? microsFromTimestamp(message.effectiveStartTime) : 0n;
    const own = message.effectiveEndTime && microsFromTimestamp(message.effectiveEndTime);
    const next = read[index + 1]?.message.effectiveStartTime;
    const until = own ?? (next && microsFromTimestamp(next));
    if (from >= end || (until !== undefined && until <= start && until > from)) return [];
    message.phoneNumber = "";
    message.telUri = "";
    delete message.sipUri;
    maskTexts(PhoneNumberSchema, message, number);
    return [{ ...entry, payload: Buffer.from(toBinary(PhoneNumberSchema, message)) }];
  });
}

/** The entry that tells readers which records were erased; its position is added when sent. */
export function encodeErasureEntry(
  erasureId: string,
  records: readonly { recordId: string; recordDate: string }[],
): Buffer {
  const message = create(ErasureEntrySchema, {
    erasureId,
    records: records.map(({ recordId, recordDate }) => ({ recordId, recordDate })),
  });
  return Buffer.from(toBinary(ErasureEntrySchema, message));
}

/** Opaque ids by which records are found; they stay. */
const KEPT: ReadonlySet<string> = new Set([
  "record_id",
  "record_date",
  "platform_record_id",
  "carrier_id",
  "customer_id",
  "trunk_id",
  "discrepancy_id",
  "merged_into_discrepancy_id",
  "call_date",
  "country_code",
]);
const PARTY = "tandem.type.v1.Party";

type Parties = { [Name in PartyName]?: Party | undefined };

function eraseParties(holder: Parties, names: readonly PartyName[], number: ErasedNumber): Set<PartyName> {
  const erased = new Set<PartyName>();
  for (const name of names) {
    const party = holder[name];
    if (!party || !number.isParty(party)) continue;
    const e164 = e164Of(party);
    const country = party.countryCode ?? (e164 === undefined ? undefined : countryOfNumber(e164));
    holder[name] = create(PartySchema, erasedParty(country));
    erased.add(name);
  }
  return erased;
}

function hasParty(holder: Parties, number: ErasedNumber): boolean {
  return PARTY_NAMES.some((name) => {
    const party = holder[name];
    return party !== undefined && number.isParty(party);
  });
}

// Masks all texts except ids and parties. Returns whether one held the number. No text is in a
// oneof.
function maskTexts(schema: DescMessage, message: Message, number: ErasedNumber): boolean {
  // Read by the names of its fields, which only the schema knows.
  const values = message as unknown as Record<string, unknown>;
  let isFound = false;
  for (const field of schema.fields) {
    const value = values[field.localName];
    if (value === undefined || KEPT.has(field.name)) continue;
    if (field.message) isFound = maskMessages(field.message, value, number) || isFound;
    else if (typeof value === "string" && number.isIn(value)) {
      values[field.localName] = number.mask(value);
      isFound = true;
    }
  }
  return isFound;
}

function maskMessages(schema: DescMessage, value: unknown, number: ErasedNumber): boolean {
  if (schema.typeName === PARTY) return false;
  const items = (Array.isArray(value) ? value : [value]) as Message[];
  return items.filter((item) => maskTexts(schema, item, number)).length > 0;
}
