import type { DescEnum } from "@bufbuild/protobuf";
import { visibleText } from "../../domain/privacy/visible-text.ts";
import { HoldReasonSchema } from "../../gen/tandem/platform/v1/hold_pb.js";
import { SubjectRoleSchema } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { enumName } from "../shared/values.ts";

/** Fields that are written as numbers of an enum. */
const ENUMS: Readonly<Record<string, DescEnum>> = { role: SubjectRoleSchema, reason: HoldReasonSchema };

/** A JSON object's fields for people: `case reference DSR-17; role any`. Hashes are only named. */
export function formatJsonFields(json: string): string {
  const fields = Object.entries(JSON.parse(json) as Record<string, unknown>);
  const told = fields.map(([name, value]) => `${name.replaceAll("_", " ")} ${formatValue(name, value)}`).join("; ");
  // JSON in a text had its own escapes, which reading it has undone.
  return visibleText(told);
}

function formatValue(name: string, value: unknown): string {
  const known = ENUMS[name];
  if (known && typeof value === "number") return enumName(known, value) ?? `${value}`;
  if (typeof value !== "string") return JSON.stringify(value);
  if (/^[0-9a-f]{64}$/.test(value)) return "(a hash)";
  return value.replace(/^SUBJECT_ROLE_(\w+)$/, (_, role: string) => role.toLowerCase().replaceAll("_", "-"));
}
