import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Attestation, type CallParties, CallPartiesSchema } from "../gen/tandem/type/v1/call_detail_record_pb.js";
import { CallType, Direction } from "../gen/tandem/type/v1/call_pb.js";
import { type Party, PartyKind, PartySchema, Presentation } from "../gen/tandem/type/v1/party_pb.js";
import { AssigneeKind } from "../gen/tandem/type/v1/phone_number_pb.js";
import { EMERGENCY_NUMBERS, nationalForm, pstnNumber, SHORT_CODES } from "./fictitious-numbers.ts";
import type { Random } from "./random.ts";
import { type AssignedNumber, assignedNumbers, type SimulatedCarrier } from "./world.ts";

/** Someone on the PSTN. */
export interface Contact {
  readonly value: string;
  readonly countryCode: string;
}

/** Numbers of a carrier that calls are made with, and whom each mostly calls. */
export type Callers = ReturnType<typeof callersOf>;

export function callersOf(carrier: SimulatedCarrier, random: Random) {
  return assignedNumbers(carrier).map((number) => {
    const own = random.fork(number.phoneNumber);
    return { number, contacts: Array.from({ length: 4 }, (): Contact => pstnNumber(own, number.countryCode)) };
  });
}

/** A few contacts get most of a number's calls. */
export function drawEnds(callers: Callers, random: Random): { number: AssignedNumber; contact: Contact } {
  const { number, contacts } = random.pick(callers);
  return { number, contact: random.chance(0.7) ? random.pick(contacts) : pstnNumber(random, number.countryCode) };
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
type Kind = keyof typeof KINDS;

export function simulateShape(random: Random, number: AssignedNumber, contact: Contact): CallShape {
  const kind = random.weighted(KINDS);
  return shapeOf(kind, number, contact, kind === "forwarded" ? someCaller(random) : undefined);
}

/** A user of the platform calls someone on the PSTN. */
export function outboundShape(number: AssignedNumber, contact: Contact): CallShape {
  return shapeOf("outbound", number, contact);
}

function shapeOf(kind: Kind, number: AssignedNumber, contact: Contact, originalCaller?: Party): CallShape {
  const callType = CALL_TYPES[kind] ?? ASSIGNEE_TYPES[number.assignment.assigneeKind] ?? CallType.USER;
  return { direction: directionOf(kind), callType, parties: partiesOf(kind, number, contact, originalCaller) };
}

export function directionOf(kind: Kind): Direction {
  return kind === "inbound" || kind === "inboundRestricted" ? Direction.INBOUND : Direction.OUTBOUND;
}

/** The parties as the platform signalled or received them. */
export function partiesOf(
  kind: Kind,
  number: AssignedNumber,
  contact: Contact,
  originalCaller: Party = create(PartySchema),
): CallParties {
  return create(CallPartiesSchema, PARTIES[kind](number, contact, originalCaller));
}

type PartiesInit = MessageInitShape<typeof CallPartiesSchema>;
/** Of callers who withhold their number. */
export const RESTRICTED = { kind: PartyKind.RESTRICTED, presentation: Presentation.RESTRICTED } as const;

const PARTIES: Readonly<
  Record<Kind, (number: AssignedNumber, contact: Contact, originalCaller: Party) => PartiesInit>
> = {
  outbound: (number, contact) => ({
    calling: own(number),
    asserted: own(number),
    called: e164(contact),
    dialed: { kind: PartyKind.NON_E164, value: nationalForm(contact.value) },
    attestation: Attestation.FULL,
  }),
  // Only the asserted party tells whose call it is.
  withheld: (number, contact) => ({
    calling: RESTRICTED,
    asserted: { ...own(number), presentation: Presentation.RESTRICTED },
    called: e164(contact),
    attestation: Attestation.FULL,
  }),
  inbound: (number, contact) => ({ calling: e164(contact), called: own(number), attestation: Attestation.PARTIAL }),
  inboundRestricted: (number) => ({ calling: RESTRICTED, called: own(number), attestation: Attestation.PARTIAL }),
  // The redirecting party tells whose call it is.
  forwarded: (number, contact, calling) => ({ calling, called: e164(contact), redirecting: own(number) }),
  shortCode: (number) => toCode(number, PartyKind.SHORT_CODE, SHORT_CODES[number.countryCode]),
  emergency: (number) => toCode(number, PartyKind.EMERGENCY, EMERGENCY_NUMBERS[number.countryCode]),
};

/** Who called a user who forwards the call. */
function someCaller(random: Random): Party {
  return random.chance(0.8)
    ? create(PartySchema, { kind: PartyKind.E164, value: "+442079460999", countryCode: "GB" })
    : create(PartySchema, { kind: PartyKind.UNAVAILABLE });
}

function toCode(number: AssignedNumber, kind: PartyKind, value: string): PartiesInit {
  return { calling: own(number), asserted: own(number), called: { kind, value, countryCode: number.countryCode } };
}

/** A number of the platform as a party. */
export function own({ phoneNumber, countryCode }: AssignedNumber): Party {
  return e164({ value: phoneNumber, countryCode });
}

export function e164({ value, countryCode }: Contact): Party {
  return create(PartySchema, { kind: PartyKind.E164, value, countryCode, presentation: Presentation.ALLOWED });
}

const CALL_TYPES: Readonly<Partial<Record<Kind, CallType>>> = {
  forwarded: CallType.FORWARDED,
  shortCode: CallType.USER,
  emergency: CallType.EMERGENCY,
};

const ASSIGNEE_TYPES: Readonly<Partial<Record<AssigneeKind, CallType>>> = {
  [AssigneeKind.CONFERENCE]: CallType.CONFERENCE,
  [AssigneeKind.VOICE_APPLICATION]: CallType.VOICE_APPLICATION,
};
