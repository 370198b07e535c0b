import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type CallParties, CallPartiesSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import type { CallDuration } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { CallType, Direction } from "../../gen/tandem/type/v1/call_pb.js";
import { type Party, PartyKind, PartySchema, Presentation } from "../../gen/tandem/type/v1/party_pb.js";
import { type Contact, outboundShape } from "../call-parties.ts";
import { EMERGENCY_NUMBERS, nationalForm } from "../fictitious-numbers.ts";
import type { Random } from "../random.ts";
import type { AssignedNumber } from "../world.ts";

/** Who calls whom, and what shows of it. */
export type CallKind = "outbound" | "withheld" | "forwarded" | "inbound" | "inboundRestricted" | "emergency";

/** The two ends of a call, and the original caller of a forwarded one. */
export interface CallEnds {
  readonly kind: CallKind;
  readonly number: AssignedNumber;
  readonly contact: Contact;
  readonly originalCaller: Contact;
}

export type CarrierParties = Partial<Pick<CallDuration, "calling" | "asserted" | "called" | "dialed" | "redirecting">>;

/** The parties as the platform signalled or received them. */
export function platformParties({ kind, number, contact, originalCaller }: CallEnds): CallParties {
  switch (kind) {
    case "outbound":
      return outboundShape(number, contact).parties;
    case "withheld":
      return create(CallPartiesSchema, {
        calling: RESTRICTED,
        asserted: { ...own(number), presentation: Presentation.RESTRICTED },
        called: e164(contact),
      });
    case "forwarded":
      return create(CallPartiesSchema, {
        calling: e164(originalCaller),
        called: e164(contact),
        redirecting: own(number),
      });
    case "inbound":
      return create(CallPartiesSchema, { calling: e164(contact), called: own(number) });
    case "inboundRestricted":
      return create(CallPartiesSchema, { calling: RESTRICTED, called: own(number) });
    case "emergency":
      return create(CallPartiesSchema, { calling: own(number), asserted: own(number), called: emergency(number) });
    default:
      throw new Error(`unknown kind ${kind satisfies never}`);
  }
}

/**
 * The same parties as the carrier's switch writes them: at times in national form, and with what
 * the network knows of a caller.
 */
export function carrierParties(ends: CallEnds, random: Random): CarrierParties {
  const { kind, number, contact, originalCaller } = ends;
  switch (kind) {
    case "outbound":
      return {
        calling: own(number),
        ...(random.chance(0.7) ? { asserted: own(number) } : {}),
        ...calledBy(number, contact, random),
      };
    case "withheld":
      return random.chance(0.5)
        ? { calling: party(RESTRICTED), asserted: own(number), called: e164(contact) }
        : { calling: party({ ...own(number), presentation: Presentation.RESTRICTED }), called: e164(contact) };
    case "forwarded":
      return random.chance(0.6)
        ? { calling: e164(originalCaller), called: e164(contact), redirecting: own(number) }
        : { calling: own(number), called: e164(contact) };
    case "inbound":
    case "inboundRestricted":
      return { calling: e164(contact), called: own(number) };
    case "emergency":
      return { calling: own(number), called: emergency(number) };
    default:
      throw new Error(`unknown kind ${kind satisfies never}`);
  }
}

export function directionOf(kind: CallKind): Direction {
  return kind === "inbound" || kind === "inboundRestricted" ? Direction.INBOUND : Direction.OUTBOUND;
}

export function callTypeOf(kind: CallKind): CallType {
  if (kind === "emergency") return CallType.EMERGENCY;
  return kind === "forwarded" ? CallType.FORWARDED : CallType.USER;
}

type PartyInit = MessageInitShape<typeof PartySchema>;
const RESTRICTED = { kind: PartyKind.RESTRICTED, presentation: Presentation.RESTRICTED } satisfies PartyInit;

function calledBy(number: AssignedNumber, contact: Contact, random: Random): CarrierParties {
  const form = random.weighted({ e164: 85, national: 10, both: 5 });
  const atHome = contact.countryCode === number.countryCode;
  if (form === "e164" || !atHome) return { called: e164(contact) };
  const national = party({
    kind: PartyKind.NON_E164,
    value: nationalForm(contact.value),
    countryCode: contact.countryCode,
  });
  return form === "national" ? { called: national } : { called: e164(contact), dialed: national };
}

function own({ phoneNumber, countryCode }: AssignedNumber): Party {
  return party({ kind: PartyKind.E164, value: phoneNumber, countryCode, presentation: Presentation.ALLOWED });
}

function e164({ value, countryCode }: Contact): Party {
  return party({ kind: PartyKind.E164, value, countryCode, presentation: Presentation.ALLOWED });
}

function emergency({ countryCode }: AssignedNumber): Party {
  return party({ kind: PartyKind.EMERGENCY, value: EMERGENCY_NUMBERS[countryCode], countryCode });
}

function party(init: PartyInit): Party {
  return create(PartySchema, init);
}
