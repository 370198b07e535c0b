import { create } from "@bufbuild/protobuf";
import { given } from "../../domain/given.ts";
import type { CallDuration } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { CallType } from "../../gen/tandem/type/v1/call_pb.js";
import { PartyKind, PartySchema, Presentation } from "../../gen/tandem/type/v1/party_pb.js";
import { type Contact, e164, own, partiesOf, RESTRICTED } from "../call-parties.ts";
import { nationalForm } from "../fictitious-numbers.ts";
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

/**
 * The parties as the carrier's switch writes them: at times in national form, and with what the
 * network knows of a caller.
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
        ? { calling: create(PartySchema, RESTRICTED), asserted: own(number), called: e164(contact) }
        : { calling: { ...own(number), presentation: Presentation.RESTRICTED }, called: e164(contact) };
    case "forwarded":
      return random.chance(0.6)
        ? { calling: e164(originalCaller), called: e164(contact), redirecting: own(number) }
        : { calling: own(number), called: e164(contact) };
    case "inbound":
    case "inboundRestricted":
      return { calling: e164(contact), called: own(number) };
    case "emergency": {
      const { calling, called } = partiesOf(kind, number, contact);
      return given({ calling, called });
    }
    default:
      throw new Error(`unknown kind ${kind satisfies never}`);
  }
}

export function callTypeOf(kind: CallKind): CallType {
  if (kind === "emergency") return CallType.EMERGENCY;
  return kind === "forwarded" ? CallType.FORWARDED : CallType.USER;
}

function calledBy(number: AssignedNumber, contact: Contact, random: Random): CarrierParties {
  const form = random.weighted({ e164: 85, national: 10, both: 5 });
  const atHome = contact.countryCode === number.countryCode;
  if (form === "e164" || !atHome) return { called: e164(contact) };
  const { value, countryCode } = contact;
  const national = create(PartySchema, { kind: PartyKind.NON_E164, value: nationalForm(value), countryCode });
  return form === "national" ? { called: national } : { called: e164(contact), dialed: national };
}
