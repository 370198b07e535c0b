import {
  type Disclosure,
  DisclosureKindSchema,
  RecipientKindSchema,
} from "../../gen/tandem/platform/v1/disclosure_pb.js";
import { LegalBasisSchema, ProcessingPurposeSchema } from "../../gen/tandem/platform/v1/retention_policy_pb.js";
import { RecordPartSchema } from "../../gen/tandem/type/v1/agreement_pb.js";
import type { CsvColumn } from "../shared/csv-output.ts";
import { type Column, formatCount, printTable } from "../shared/output.ts";
import { enumName, formatTime } from "../shared/values.ts";
import { formatJsonFields } from "./json-fields.ts";

const COLUMNS: readonly Column[] = [
  { title: "written" },
  { title: "to" },
  { title: "credential" },
  { title: "by" },
  { title: "what" },
  { title: "records", align: "right" },
  { title: "of days" },
  { title: "parts" },
  { title: "for" },
  { title: "asked for" },
];

/** Prints disclosures, a line each, as a table. */
export function printDisclosures(disclosures: readonly Disclosure[], withCarrier: boolean): void {
  const columns = withCarrier ? [{ title: "carrier id" }, ...COLUMNS] : COLUMNS;
  const rows = disclosures.map((each) => [...(withCarrier ? [each.carrierId] : []), ...cellsOf(each)]);
  printTable(columns, rows, "Nobody: no disclosures.");
}

function cellsOf(disclosure: Disclosure): string[] {
  const { firstRecordDate: first, lastRecordDate: last, masked } = disclosure;
  return [
    formatTime(disclosure.commitTime),
    enumName(RecipientKindSchema, disclosure.recipientKind) ?? "",
    disclosure.credentialId,
    disclosure.method.slice(disclosure.method.lastIndexOf(".") + 1),
    formatWhat(disclosure),
    formatCount(disclosure.recordCount),
    first === last ? first : `${first} to ${last}`,
    `${formatParts(disclosure)}${masked ? ", masked" : ""}`,
    enumName(ProcessingPurposeSchema, disclosure.purpose)?.replaceAll("-", " ") ?? "",
    formatJsonFields(disclosure.filterJson),
  ];
}

/** What kind of reading it was, and of a feed where. */
function formatWhat({ kind, afterSequence, throughSequence }: Disclosure): string {
  const name = enumName(DisclosureKindSchema, kind)?.replaceAll("-", " ") ?? "";
  return afterSequence === undefined ? name : `${name} ${afterSequence} to ${throughSequence ?? ""}`;
}

function formatParts({ recordParts }: Disclosure): string {
  return recordParts.map((part) => enumName(RecordPartSchema, part) ?? "").join(", ");
}

/** The columns of a CSV file of disclosures. */
export const DISCLOSURE_CSV: readonly CsvColumn<Disclosure>[] = [
  { title: "disclosure_id", read: ({ disclosureId }) => disclosureId },
  { title: "carrier_id", read: ({ carrierId }) => carrierId },
  { title: "commit_time", read: ({ commitTime }) => formatTime(commitTime, "milliseconds") },
  { title: "recipient_kind", read: ({ recipientKind }) => enumName(RecipientKindSchema, recipientKind) },
  { title: "credential_id", read: ({ credentialId }) => credentialId },
  { title: "method", read: ({ method }) => method },
  { title: "kind", read: ({ kind }) => enumName(DisclosureKindSchema, kind) },
  { title: "session_id", read: ({ sessionId }) => sessionId },
  { title: "filter_json", read: ({ filterJson }) => filterJson },
  { title: "record_parts", read: (disclosure) => formatParts(disclosure).replaceAll(",", "") },
  { title: "masked", read: ({ masked }) => masked },
  { title: "after_sequence", read: ({ afterSequence }) => afterSequence },
  { title: "through_sequence", read: ({ throughSequence }) => throughSequence },
  { title: "feed_epoch", read: ({ feedEpoch }) => feedEpoch },
  { title: "record_count", read: ({ recordCount }) => recordCount },
  { title: "first_record_date", read: ({ firstRecordDate }) => firstRecordDate },
  { title: "last_record_date", read: ({ lastRecordDate }) => lastRecordDate },
  { title: "purpose", read: ({ purpose }) => enumName(ProcessingPurposeSchema, purpose) },
  { title: "legal_basis", read: ({ legalBasis }) => enumName(LegalBasisSchema, legalBasis) },
  { title: "privacy_statement_version", read: ({ privacyStatementVersion }) => privacyStatementVersion },
  { title: "record_ids", read: ({ records }) => records.map(({ recordId }) => recordId).join(" ") },
];
