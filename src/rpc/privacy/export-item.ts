import { fromBinary } from "@bufbuild/protobuf";
import type { Stated } from "../../domain/enum-values.ts";
import { maskLastDigits } from "../../domain/privacy/masking.ts";
import {
  type CallOfParties,
  findParticipation,
  isCallerRestricted,
  isInRole,
  type Participation,
} from "../../domain/privacy/subject.ts";
import { cdrMessage } from "../../feed/cdr-feed.ts";
import { SubjectRole } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { type CallDuration, CallDurationSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { Direction } from "../../gen/tandem/type/v1/call_pb.js";
import { type Discrepancy, DiscrepancySchema } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { PartyKind } from "../../gen/tandem/type/v1/party_pb.js";
import type { FoundRecord } from "../../store/privacy/export-phone-number.ts";
import { maskForReader } from "../shared/masking/reader-mask.ts";
import { durationMessage } from "../shared/messages/duration.ts";

export interface Subject {
  /** E.164. */
  readonly phoneNumber: string;
  readonly role: Stated<SubjectRole>;
  readonly isParty: (party: CallOfParties["calling"]) => boolean;
}

/** Withheld: a caller who asked not to be shown called the person. Undefined: not the person's. */
export type Given<Item> = { readonly item: Item } | "withheld" | undefined;

export function callOf({ parties, direction }: CallDetailRecord): CallOfParties {
  const { calling, asserted, called, dialed, redirecting } = parties ?? {};
  return { direction, calling, asserted, called, dialed, redirecting };
}

export function givenCdr(found: FoundRecord, subject: Subject): Given<CallDetailRecord> {
  const reported = cdrMessage(found.reported);
  const call = callOf(reported);
  const others = found.counterparts.map((payload) => fromBinary(CallDurationSchema, payload));
  const item = found.newest === found.reported ? reported : cdrMessage(found.newest);
  return giveMasked(item, call, others, subject, maskCdr);
}

export function givenDuration(found: FoundRecord, subject: Subject): Given<CallDuration> {
  const reported = durationMessage(found.reported);
  const others = found.counterparts.map((payload) => callOf(fromBinary(CallDetailRecordSchema, payload)));
  const item = found.newest === found.reported ? reported : durationMessage(found.newest);
  return giveMasked(item, reported, others, subject, maskDuration);
}

export function giveMasked<Item>(
  item: Item,
  call: CallOfParties,
  others: readonly Callers[],
  subject: Subject,
  mask: (item: Item, subject: Subject, participation: Participation) => void,
): Given<Item> {
  const participation = mayBeGiven(call, others, subject);
  if (typeof participation !== "object") return participation;
  mask(item, subject, participation);
  return { item };
}

/**
 * A discrepancy for the person it is about.
 * @param ownNumber of the attribution, not always among the two parties shown.
 * @param records it is about, as far as they are there: one may show the person.
 */
export function givenDiscrepancy(
  item: Discrepancy,
  ownNumber: string | undefined,
  records: readonly CallOfParties[],
  subject: Subject,
): Given<Discrepancy> {
  const isOwn = isSubjects(ownNumber, subject);
  const own = isOwn ? { kind: PartyKind.E164, value: subject.phoneNumber, presentation: 0 } : undefined;
  const call = { ...item, ...(item.direction === Direction.INBOUND ? { dialed: own } : { asserted: own }) };
  const calls: readonly CallOfParties[] = [call, ...records];
  const all = calls.map((each) => mayBeGiven(each, calls, subject));
  if (all.includes("withheld")) return "withheld";
  const participations = all.filter((each) => typeof each === "object");
  if (participations.length === 0) return undefined;
  maskForReader(DiscrepancySchema, item, subject.isParty);
  if (!participations.every((each) => isOwnCustomer(subject, each))) delete item.customerId;
  return { item };
}

/** A call detail record without what is about somebody else. */
export function maskCdr(item: CallDetailRecord, subject: Subject, participation: Participation): void {
  const { attribution } = item;
  // To the person, the number to which a call is attributed may be an other party's.
  if (attribution) delete item.attribution;
  maskForReader(CallDetailRecordSchema, item, subject.isParty);
  if (!attribution) return;
  item.attribution = attribution;
  if (!isSubjects(attribution.phoneNumber, subject)) attribution.phoneNumber = maskLastDigits(attribution.phoneNumber);
  if (!isOwnCustomer(subject, participation)) attribution.customerId = "";
}

/** A duration without what is about somebody else. */
export function maskDuration(item: CallDuration, subject: Subject, participation: Participation): void {
  maskForReader(CallDurationSchema, item, subject.isParty);
  if (isOwnCustomer(subject, participation)) return;
  delete item.customerId;
  delete item.customerReference;
}

// Whose customer it was says who the other one is, unless it is the person's own.
function isOwnCustomer({ role }: Subject, { isSubscriber, isOtherParty }: Participation): boolean {
  return role !== SubjectRole.OTHER_PARTY && isSubscriber && !isOtherParty;
}

type Callers = Pick<CallOfParties, "calling" | "asserted">;

/** Whether a call is the person's in that role. Any record may tell a wish to hide (GDPR 15(4)). */
function mayBeGiven(
  call: CallOfParties,
  others: readonly Callers[],
  { isParty, role }: Subject,
): Participation | "withheld" | undefined {
  const participation = findParticipation(call, isParty);
  if (!participation || !isInRole(participation, role)) return undefined;
  const isWithheld = participation.isCalled && [call, ...others].some(isCallerRestricted);
  return isWithheld ? "withheld" : participation;
}

function isSubjects(number: string | undefined, { isParty }: Subject): boolean {
  return number !== undefined && isParty({ kind: PartyKind.E164, value: number, presentation: 0 });
}
