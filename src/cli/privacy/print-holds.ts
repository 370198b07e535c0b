import { addDays } from "../../domain/time/instant.ts";
import {
  HeldPeriodSchema,
  type Hold,
  HoldReasonSchema,
  HoldSchema,
  HoldStateSchema,
} from "../../gen/tandem/platform/v1/hold_pb.js";
import { DirectionSchema } from "../../gen/tandem/type/v1/call_pb.js";
import { type CsvColumn, csvOf, fieldColumns } from "../shared/csv-output.ts";
import { countOf, formatCount, printFields, printRows, type RowColumn } from "../shared/output.ts";
import { enumName, formatTime } from "../shared/values.ts";

export function printHold({ hold }: { hold?: Hold | undefined }): void {
  if (!hold) return;
  printFields([
    ["hold", hold.holdId],
    ["carrier", hold.carrierId],
    ["state", enumName(HoldStateSchema, hold.state)],
    ["keeps", describeTarget(hold)],
    ["revisions held", formatCount(hold.heldRevisionCount)],
    ["counted", formatTime(hold.heldCountTime)],
    ["reason", enumName(HoldReasonSchema, hold.reason)],
    ["case", hold.caseReference],
    ["owner", hold.owner],
    ["created", `${formatTime(hold.createTime)} by ${hold.createdBy}`],
    ["ends", formatTime(hold.endTime)],
    ["ended", describeEnd(hold)],
  ]);
}

export function printHolds(holds: readonly Hold[]): void {
  printRows(COLUMNS, holds, "No holds: tandem privacy hold create --help");
}

const COLUMNS: readonly RowColumn<Hold>[] = [
  { title: "hold", read: ({ holdId }) => holdId },
  { title: "carrier", read: ({ carrierId }) => carrierId },
  { title: "state", read: ({ state }) => enumName(HoldStateSchema, state) },
  { title: "reason", read: ({ reason }) => enumName(HoldReasonSchema, reason) },
  { title: "keeps", read: describeTarget },
  { title: "revisions", align: "right", read: ({ heldRevisionCount }) => formatCount(heldRevisionCount) },
  { title: "case", read: ({ caseReference }) => caseReference },
  { title: "owner", read: ({ owner }) => owner },
  { title: "ends", read: ({ endTime }) => formatTime(endTime) },
];

function describeEnd({ releaseTime, releasedBy, releaseNote }: Hold): string | undefined {
  if (releaseTime === undefined) return undefined;
  return releasedBy === undefined
    ? formatTime(releaseTime)
    : `${formatTime(releaseTime)} by ${releasedBy}: ${releaseNote ?? ""}`;
}

function describeTarget({ target }: Hold): string {
  if (target.case === "records") return countOf(target.value.records.length, "record");
  if (target.case !== "period") return "";
  const { startDate, endDate, customerId, trunkId, direction } = target.value;
  const only = [
    customerId === undefined ? [] : `customer ${customerId}`,
    trunkId === undefined ? [] : `trunk ${trunkId}`,
    enumName(DirectionSchema, direction) ?? [],
  ].flat();
  return [`${startDate} to ${addDays(endDate, -1)}`, ...only].join(", ");
}

export const HOLD_CSV: readonly CsvColumn<Hold>[] = [
  ...fieldColumns(HoldSchema, "hold_id", "carrier_id", "state"),
  {
    title: "record_count",
    read: ({ target }) => (target.case === "records" ? target.value.records.length : undefined),
  },
  ...csvOf(HeldPeriodSchema, ["start_date", "end_date", "customer_id", "trunk_id", "direction"], ({ target }: Hold) =>
    target.case === "period" ? target.value : undefined,
  ),
  ...fieldColumns(
    HoldSchema,
    ...["held_revision_count", "reason", "case_reference", "owner", "end_time", "create_time", "created_by"],
    ...["release_time", "released_by", "release_note", "held_count_time"],
  ),
];
