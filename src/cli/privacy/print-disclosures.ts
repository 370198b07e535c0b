import {
  type Disclosure,
  DisclosureKindSchema,
  DisclosureSchema,
  RecipientKindSchema,
} from "../../gen/tandem/platform/v1/disclosure_pb.js";
import { ProcessingPurposeSchema } from "../../gen/tandem/platform/v1/retention_policy_pb.js";
import { RecordPartSchema } from "../../gen/tandem/type/v1/agreement_pb.js";
import { type CsvColumn, fieldColumns } from "../shared/csv-output.ts";
import { formatCount, printRows, type RowColumn } from "../shared/output.ts";
import { enumName, formatTime } from "../shared/values.ts";
import { formatJsonFields } from "./json-fields.ts";

const COLUMNS: readonly RowColumn<Disclosure>[] = [
  { title: "written", read: ({ commitTime }) => formatTime(commitTime) },
  { title: "to", read: ({ recipientKind }) => enumName(RecipientKindSchema, recipientKind) },
  { title: "credential", read: ({ credentialId }) => credentialId },
  { title: "by", read: ({ method }) => method.slice(method.lastIndexOf(".") + 1) },
  { title: "what", read: formatWhat },
  { title: "records", align: "right", read: ({ recordCount }) => formatCount(recordCount) },
  { title: "of days", read: formatDays },
  { title: "parts", read: (disclosure) => `${formatParts(disclosure)}${disclosure.masked ? ", masked" : ""}` },
  { title: "for", read: ({ purpose }) => enumName(ProcessingPurposeSchema, purpose)?.replaceAll("-", " ") },
  { title: "asked for", read: ({ filterJson }) => formatJsonFields(filterJson) },
];

export function printDisclosures(disclosures: readonly Disclosure[], withCarrier: boolean): void {
  const carrier: RowColumn<Disclosure> = { title: "carrier id", read: ({ carrierId }) => carrierId };
  printRows(withCarrier ? [carrier, ...COLUMNS] : COLUMNS, disclosures, "Nobody: no disclosures.");
}

function formatDays({ firstRecordDate: first, lastRecordDate: last }: Disclosure): string {
  return first === last ? first : `${first} to ${last}`;
}

/** What kind of reading it was, and of a feed where. */
function formatWhat({ kind, afterSequence, throughSequence }: Disclosure): string {
  const name = enumName(DisclosureKindSchema, kind)?.replaceAll("-", " ") ?? "";
  return afterSequence === undefined ? name : `${name} ${afterSequence} to ${throughSequence ?? ""}`;
}

function formatParts({ recordParts }: Disclosure): string {
  return recordParts.map((part) => enumName(RecordPartSchema, part) ?? "").join(", ");
}

export const DISCLOSURE_CSV: readonly CsvColumn<Disclosure>[] = [
  ...fieldColumns(
    DisclosureSchema,
    ...["disclosure_id", "carrier_id", "commit_time", "recipient_kind", "credential_id", "method", "kind"],
    ...["session_id", "filter_json", "record_parts", "masked", "after_sequence", "through_sequence", "feed_epoch"],
    ...["record_count", "first_record_date", "last_record_date", "purpose", "legal_basis", "privacy_statement_version"],
  ),
  { title: "record_ids", read: ({ records }) => records.map(({ recordId }) => recordId).join(" ") },
];
