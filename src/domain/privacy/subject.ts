import { SubjectRole } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { Direction } from "../../gen/tandem/type/v1/call_pb.js";
import { PartyKind, Presentation } from "../../gen/tandem/type/v1/party_pb.js";
import type { Party } from "../calls/party.ts";
import type { Stated } from "../enum-values.ts";
import { isSameNumber, numberKeyOf } from "../matching/number-keys.ts";
import { asksToBeHidden, nationalDigitsOf } from "../numbers/spelling.ts";
import { digitsOf } from "./masking.ts";

// Whether a call is about a person: by number, period and role, never by the bare number.

export function isSubjectRole(role: number): role is Stated<SubjectRole> {
  return role >= SubjectRole.SUBSCRIBER && role <= SubjectRole.ANY;
}

/** Who took part in a call, as either side's record has it. */
export interface CallOfParties {
  /** 1 OUTBOUND, 2 INBOUND; 0 when the record does not say. */
  readonly direction: number;
  readonly calling?: Party | undefined;
  readonly asserted?: Party | undefined;
  readonly called?: Party | undefined;
  readonly dialed?: Party | undefined;
  readonly redirecting?: Party | undefined;
}

/** Where a number takes part in a call. */
export interface Participation {
  readonly isSubscriber: boolean;
  readonly isOtherParty: boolean;
  /** Whether it is the number that was called. */
  readonly isCalled: boolean;
}

/** Tells whether a party has a number, in whatever spelling. */
export function partyMatcher(phoneNumber: string): (party: Party | undefined) => boolean {
  const number = numberKeyOf({ kind: PartyKind.E164, value: phoneNumber, presentation: 0 });
  return (party) => {
    const key = party && numberKeyOf(party);
    return number !== undefined && key !== undefined && isSameNumber(key, number);
  };
}

/**
 * Undefined: nowhere. The subscriber calls when OUTBOUND and is called when INBOUND; the other
 * party is the other side, and the first caller of a forwarded OUTBOUND call too. Without direction
 * it may be either.
 */
export function findParticipation(
  call: CallOfParties,
  isSubject: (party: Party | undefined) => boolean,
): Participation | undefined {
  const isCaller = isSubject(call.calling) || isSubject(call.asserted);
  const isForwarder = isSubject(call.redirecting);
  const isCalled = isSubject(call.called) || isSubject(call.dialed);
  if (!isCaller && !isForwarder && !isCalled) return undefined;
  if (call.direction === 0) return { isSubscriber: true, isOtherParty: true, isCalled };
  const isOnCallingSide = isCaller || isForwarder;
  if (call.direction !== Direction.OUTBOUND) return { isSubscriber: isCalled, isOtherParty: isOnCallingSide, isCalled };
  const wasForwardedFor = isCaller && !isForwarder && call.redirecting?.value !== undefined;
  return { isSubscriber: isOnCallingSide, isOtherParty: isCalled || wasForwardedFor, isCalled };
}

/** Whether a participation is in the role that is asked for. */
export function isInRole({ isSubscriber, isOtherParty }: Participation, role: Stated<SubjectRole>): boolean {
  switch (role) {
    case SubjectRole.SUBSCRIBER:
      return isSubscriber;
    case SubjectRole.OTHER_PARTY:
      return isOtherParty;
    case SubjectRole.ANY:
      return true;
    default:
      return role satisfies never;
  }
}

/** Whether the caller asked not to be shown (RFC 3323, RFC 3325 privacy "id"). */
export function isCallerRestricted({ calling, asserted }: Pick<CallOfParties, "calling" | "asserted">): boolean {
  return [calling, asserted].some(
    (party) =>
      party?.kind === PartyKind.RESTRICTED ||
      party?.presentation === Presentation.RESTRICTED ||
      (party?.value !== undefined && asksToBeHidden(party.value)),
  );
}

/** Whether a free text holds a number, in whatever spelling: a case reference must not. */
export function holdsNumber(text: string, phoneNumber: string): boolean {
  const digits = digitsOf(text);
  return nationalDigitsOf(phoneNumber).some(
    (national) => national.length >= LEAST_TOLD_DIGITS && digits.includes(national),
  );
}

/** Fewer digits are found in many a case reference. */
const LEAST_TOLD_DIGITS = 5;
