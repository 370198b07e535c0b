import { create, type DescMessage, equals, type Message } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import type { Carrier } from "../../domain/carriers/carrier.ts";
import { identityText } from "../../domain/carriers/principal.ts";
import { CarrierSchema } from "../../gen/tandem/platform/v1/carrier_pb.js";
import { carrierMessage } from "./message.ts";

/** What every change sets, and so says nothing. */
const OUTPUT_ONLY: ReadonlySet<string> = new Set(["carrier_id", "create_time", "update_time", "revision"]);
/** How much of the details the identities of credentials may take, characters. */
const MAX_IDENTITIES = 3_000;

/** What the audit log is told of a change: the fields, and which credentials came and went. */
export function auditCarrier(before: Carrier | undefined, after: Carrier) {
  const messageOf = (carrier: Carrier) => reflect(CarrierSchema, carrierMessage(carrier, undefined));
  const empty = reflect(CarrierSchema, create(CarrierSchema));
  const paths = changedPaths(before ? messageOf(before) : empty, messageOf(after));
  const [old, now] = [identitiesOf(before), identitiesOf(after)];
  const added = [...now].filter((identity) => !old.has(identity));
  const removed = [...old].filter((identity) => !now.has(identity));
  const details: Record<string, unknown> = { revision: String(after.revision) };
  if (before?.suspended !== after.suspended) details["suspended"] = after.suspended;
  if (added.length > 0) details["credentials_added"] = shorten(added);
  if (removed.length > 0) details["credentials_removed"] = shorten(removed);
  return {
    resource: `carrier/${after.carrierId}`,
    changedFields: paths.filter((path) => !OUTPUT_ONLY.has(path.split(".")[0] ?? "")).sort(),
    details,
  };
}

function identitiesOf(carrier: Carrier | undefined): Set<string> {
  return new Set(carrier?.credentials.map(({ identity }) => identityText(identity)));
}

// At least how many there are, when there is no room for all.
function shorten(identities: readonly string[]): readonly string[] | number {
  const length = identities.reduce((sum, identity) => sum + identity.length, 0);
  return length > MAX_IDENTITIES / 2 ? identities.length : identities;
}

/** The paths of the fields in which two messages differ; of a message in both, those within it. */
function changedPaths(before: ReflectMessage, after: ReflectMessage): string[] {
  return after.sortedFields.flatMap((field) => {
    if (isSameField(after.desc, field.number, before.message, after.message)) return [];
    if (field.fieldKind !== "message" || !before.isSet(field) || !after.isSet(field)) return [field.name];
    const [old, now] = [before.get(field) as ReflectMessage, after.get(field) as ReflectMessage];
    return changedPaths(old, now).map((path) => `${field.name}.${path}`);
  });
}

// Two messages that have nothing but this field.
function isSameField(desc: DescMessage, number: number, one: Message, other: Message): boolean {
  const only = (message: Message) => {
    const result = reflect(desc, create(desc));
    const source = reflect(desc, message);
    const field = source.sortedFields.find((candidate) => candidate.number === number);
    if (field && source.isSet(field)) result.set(field, source.get(field));
    return result.message;
  };
  return equals(desc, only(one), only(other));
}
