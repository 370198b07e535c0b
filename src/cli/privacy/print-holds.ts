import { addDays } from "../../domain/time/instant.ts";
import { type Hold, HoldReasonSchema, HoldStateSchema } from "../../gen/tandem/platform/v1/hold_pb.js";
import { DirectionSchema } from "../../gen/tandem/type/v1/call_pb.js";
import type { CsvColumn } from "../shared/csv-output.ts";
import { countOf, formatCount, printFields, printTable } from "../shared/output.ts";
import { enumName, formatTime } from "../shared/values.ts";

/** Prints one hold. */
export function printHold(hold: Hold): void {
  printFields([
    ["hold", hold.holdId],
    ["carrier", hold.carrierId],
    ["state", enumName(HoldStateSchema, hold.state)],
    ["keeps", describeTarget(hold)],
    ["revisions held", formatCount(hold.heldRevisionCount)],
    ["reason", enumName(HoldReasonSchema, hold.reason)],
    ["case", hold.caseReference],
    ["owner", hold.owner],
    ["created", `${formatTime(hold.createTime)} by ${hold.createdBy}`],
    ["ends", formatTime(hold.endTime)],
    ["ended", describeEnd(hold)],
  ]);
}

/** Prints holds as a table. */
export function printHolds(holds: readonly Hold[]): void {
  printTable(
    [
      { title: "hold" },
      { title: "carrier" },
      { title: "state" },
      { title: "reason" },
      { title: "keeps" },
      { title: "revisions", align: "right" },
      { title: "case" },
      { title: "owner" },
      { title: "ends" },
    ],
    holds.map((hold) => [
      hold.holdId,
      hold.carrierId,
      enumName(HoldStateSchema, hold.state) ?? "",
      enumName(HoldReasonSchema, hold.reason) ?? "",
      describeTarget(hold),
      formatCount(hold.heldRevisionCount),
      hold.caseReference,
      hold.owner,
      formatTime(hold.endTime),
    ]),
    "No holds: tandem privacy hold create --help",
  );
}

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

/** The columns of holds as CSV. */
export const HOLD_CSV: readonly CsvColumn<Hold>[] = [
  { title: "hold_id", read: ({ holdId }) => holdId },
  { title: "carrier_id", read: ({ carrierId }) => carrierId },
  { title: "state", read: ({ state }) => enumName(HoldStateSchema, state) },
  {
    title: "record_count",
    read: ({ target }) => (target.case === "records" ? target.value.records.length : undefined),
  },
  { title: "start_date", read: ({ target }) => (target.case === "period" ? target.value.startDate : undefined) },
  { title: "end_date", read: ({ target }) => (target.case === "period" ? target.value.endDate : undefined) },
  { title: "customer_id", read: ({ target }) => (target.case === "period" ? target.value.customerId : undefined) },
  { title: "trunk_id", read: ({ target }) => (target.case === "period" ? target.value.trunkId : undefined) },
  {
    title: "direction",
    read: ({ target }) => (target.case === "period" ? enumName(DirectionSchema, target.value.direction) : undefined),
  },
  { title: "held_revision_count", read: ({ heldRevisionCount }) => heldRevisionCount },
  { title: "reason", read: ({ reason }) => enumName(HoldReasonSchema, reason) },
  { title: "case_reference", read: ({ caseReference }) => caseReference },
  { title: "owner", read: ({ owner }) => owner },
  { title: "end_time", read: ({ endTime }) => formatTime(endTime, "milliseconds") },
  { title: "create_time", read: ({ createTime }) => formatTime(createTime, "milliseconds") },
  { title: "created_by", read: ({ createdBy }) => createdBy },
  { title: "release_time", read: ({ releaseTime }) => formatTime(releaseTime, "milliseconds") },
  { title: "released_by", read: ({ releasedBy }) => releasedBy },
  { title: "release_note", read: ({ releaseNote }) => releaseNote },
];
