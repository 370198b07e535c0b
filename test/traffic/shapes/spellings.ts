import { create } from "@bufbuild/protobuf";
import { type PhoneNumber, parsePhoneNumberFromString } from "libphonenumber-js/max";
import type { CallDuration } from "../../../src/gen/tandem/type/v1/call_duration_pb.js";
import { type Party, PartyKind, PartySchema } from "../../../src/gen/tandem/type/v1/party_pb.js";
import type { Contact } from "../../../src/simulator/call-parties.ts";
import { type MadeCall, type PlayedCall, playPair } from "../../../src/simulator/reconciliation/played-call.ts";
import { COUNTRIES, numbersIn, spellingsOf, type WrittenNumber } from "../../support/number-spellings.ts";
import { type LostAt, losing } from "../lost-records.ts";
import type { TrafficSite } from "../site.ts";
import type { TrafficShape } from "../traffic-world.ts";

/** How many numbers of each country are called. */
const NUMBERS_OF_A_COUNTRY = 6;

/**
 * Carriers that write their own numbers in national form or with 00, and numbers of every country
 * as people and switches write them.
 */
export const spellings: TrafficShape = {
  name: "spellings",
  play: (site, callCount) => {
    const abroad = COUNTRIES.flatMap((country) => numbersIn(country, NUMBERS_OF_A_COUNTRY));
    for (let index = 0; index < callCount; index += 1) {
      const number = abroad[index % abroad.length];
      if (number !== undefined) playCall(site, number);
    }
  },
};

function playCall(site: TrafficSite, number: PhoneNumber): void {
  const { random } = site;
  const contact: Contact = { value: number.number, countryCode: number.country ?? "" };
  const kind = random.chance(0.3) ? "inbound" : "outbound";
  const inviteMs = site.drawMs();
  const isOver = inviteMs < site.bounds.missedBeforeMs;
  const lost = isOver ? random.weighted<LostAt>({ nowhere: 96, atCarrier: 2, atPlatform: 2 }) : "nowhere";
  site.happened(
    {
      planted: `written as in ${contact.countryCode}`,
      ends: site.ends({ contact, kind }),
      inviteMs,
      connectedMs: site.drawTalkMs(),
    },
    (made) => playSpelled(made, number, lost),
  );
}

function playSpelled(made: MadeCall, number: PhoneNumber, lostAt: LostAt): PlayedCall {
  const played = playPair(made);
  for (const { record } of played.durations) spell(record, made, number);
  return losing(played, lostAt);
}

/** Writes both numbers in some spelling, but for those that the platform knows in one form. */
function spell(record: CallDuration, { plan, random }: MadeCall, number: PhoneNumber): void {
  const { phoneNumber, countryCode } = plan.ends.number;
  const own = parsePhoneNumberFromString(phoneNumber);
  if (own === undefined) throw new Error(`${phoneNumber} is no number`);
  const other = written(random.pick(spellingsOf(number)));
  const mine = written(random.pick(spellingsOf(own)), countryCode);
  const isInbound = plan.ends.kind === "inbound";
  delete record.asserted;
  delete record.dialed;
  record.calling = isInbound ? other : mine;
  record.called = isInbound ? mine : other;
}

function written({ value, countryCode }: WrittenNumber, home?: string): Party {
  // Of a number that belongs to nobody the library does not know the country.
  const country = countryCode === "" ? home : countryCode;
  return create(PartySchema, { kind: PartyKind.NON_E164, value, ...(country ? { countryCode: country } : {}) });
}
