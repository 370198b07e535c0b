import { isDeepStrictEqual } from "node:util";
import { type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
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
  const jsonOf = (carrier: Carrier) =>
    toJson(CarrierSchema, carrierMessage(carrier, undefined), { useProtoFieldName: true }) as JsonObject;
  const paths = changedPaths(before ? jsonOf(before) : {}, jsonOf(after));
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

// The paths of the fields that differ; of an object in both, those within it.
function changedPaths(before: JsonObject, after: JsonObject): string[] {
  return Object.keys({ ...before, ...after }).flatMap((name) => {
    const [old, now] = [before[name], after[name]];
    if (isDeepStrictEqual(old, now)) return [];
    if (!isObject(old) || !isObject(now)) return [name];
    return changedPaths(old, now).map((path) => `${name}.${path}`);
  });
}

function isObject(json: JsonValue | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
