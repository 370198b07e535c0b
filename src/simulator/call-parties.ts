import { create } from "@bufbuild/protobuf";
import { Attestation, type CallParties, CallPartiesSchema } from "../gen/tandem/type/v1/call_detail_record_pb.js";
import { CallType, Direction } from "../gen/tandem/type/v1/call_pb.js";
import { type Party, PartyKind, PartySchema, Presentation } from "../gen/tandem/type/v1/party_pb.js";
import { AssigneeKind } from "../gen/tandem/type/v1/phone_number_pb.js";
import { EMERGENCY_NUMBERS, nationalForm, SHORT_CODES } from "./fictitious-numbers.ts";
import type { Random } from "./random.ts";
import type { AssignedNumber } from "./world.ts";

/** Someone on the PSTN. */
export interface Contact {
  readonly value: string;
  readonly countryCode: string;
}

/** Who calls whom and how. */
export interface CallShape {
  readonly direction: Direction;
  readonly callType: CallType;
  readonly parties: CallParties;
}

const KINDS = {
  outbound: 52,
  withheld: 3,
  inbound: 35,
  inboundRestricted: 3,
  forwarded: 4,
  shortCode: 2,
  emergency: 1,
} as const;

export function simulateShape(random: Random, number: AssignedNumber, contact: Contact): CallShape {
  return SHAPES[random.weighted(KINDS)](number, contact, random);
}

const SHAPES: Readonly<
  Record<keyof typeof KINDS, (number: AssignedNumber, contact: Contact, random: Random) => CallShape>
> = {
  outbound: outboundShape,
  withheld: withheldShape,
  inbound: (number, contact) => inboundShape(number, e164(contact)),
  inboundRestricted: (number) =>
    inboundShape(number, create(PartySchema, { kind: PartyKind.RESTRICTED, presentation: Presentation.RESTRICTED })),
  forwarded: forwardedShape,
  shortCode: (number) => toCode(number, CallType.USER, PartyKind.SHORT_CODE, SHORT_CODES[number.countryCode]),
  emergency: (number) => toCode(number, CallType.EMERGENCY, PartyKind.EMERGENCY, EMERGENCY_NUMBERS[number.countryCode]),
};

/** A user of the platform calls someone on the PSTN. */
export function outboundShape(number: AssignedNumber, contact: Contact): CallShape {
  const parties = create(CallPartiesSchema, {
    calling: own(number),
    asserted: own(number),
    called: e164(contact),
    dialed: create(PartySchema, { kind: PartyKind.NON_E164, value: nationalForm(contact.value) }),
    attestation: Attestation.FULL,
  });
  return { direction: Direction.OUTBOUND, callType: callTypeOf(number), parties };
}

/** The user withholds the number: only the asserted party tells whose call it is. */
function withheldShape(number: AssignedNumber, contact: Contact): CallShape {
  const parties = create(CallPartiesSchema, {
    calling: { kind: PartyKind.RESTRICTED, presentation: Presentation.RESTRICTED },
    asserted: { ...own(number), presentation: Presentation.RESTRICTED },
    called: e164(contact),
    attestation: Attestation.FULL,
  });
  return { direction: Direction.OUTBOUND, callType: callTypeOf(number), parties };
}

function inboundShape(number: AssignedNumber, calling: Party): CallShape {
  const parties = create(CallPartiesSchema, { calling, called: own(number), attestation: Attestation.PARTIAL });
  return { direction: Direction.INBOUND, callType: callTypeOf(number), parties };
}

/** A user forwards a call from the PSTN; the redirecting party tells whose call it is. */
function forwardedShape(number: AssignedNumber, contact: Contact, random: Random): CallShape {
  const caller = random.chance(0.8)
    ? create(PartySchema, { kind: PartyKind.E164, value: "+442079460999", countryCode: "GB" })
    : create(PartySchema, { kind: PartyKind.UNAVAILABLE });
  const parties = create(CallPartiesSchema, { calling: caller, called: e164(contact), redirecting: own(number) });
  return { direction: Direction.OUTBOUND, callType: CallType.FORWARDED, parties };
}

function toCode(number: AssignedNumber, callType: CallType, kind: PartyKind, value: string): CallShape {
  const called = { kind, value, countryCode: number.countryCode };
  const parties = create(CallPartiesSchema, { calling: own(number), asserted: own(number), called });
  return { direction: Direction.OUTBOUND, callType, parties };
}

function own({ phoneNumber, countryCode }: AssignedNumber): Party {
  const presentation = Presentation.ALLOWED;
  return create(PartySchema, { kind: PartyKind.E164, value: phoneNumber, countryCode, presentation });
}

function e164({ value, countryCode }: Contact): Party {
  return create(PartySchema, { kind: PartyKind.E164, value, countryCode, presentation: Presentation.ALLOWED });
}

function callTypeOf({ assignment }: AssignedNumber): CallType {
  return CALL_TYPES.get(assignment.assigneeKind) ?? CallType.USER;
}

const CALL_TYPES: ReadonlyMap<AssigneeKind, CallType> = new Map([
  [AssigneeKind.CONFERENCE, CallType.CONFERENCE],
  [AssigneeKind.VOICE_APPLICATION, CallType.VOICE_APPLICATION],
]);
