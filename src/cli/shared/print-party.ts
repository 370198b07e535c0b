import { type Party, PartyKind, PartyKindSchema } from "../../gen/tandem/type/v1/party_pb.js";
import { enumName } from "./values.ts";

/** A party as people write it: its number, or what is known in its place. */
export function formatParty(party: Party | undefined): string {
  if (party === undefined) return "";
  if (party.value !== undefined) return party.kind === PartyKind.EMERGENCY ? `${party.value} (SOS)` : party.value;
  return enumName(PartyKindSchema, party.kind) ?? "";
}
