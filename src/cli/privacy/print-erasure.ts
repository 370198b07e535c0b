import {
  type Erasure,
  type ErasureCount,
  type ErasureException,
  ErasureExceptionReason,
  ErasureExceptionReasonSchema,
  type ErasureNotice,
  type ErasureReceipt,
  ErasureStateSchema,
  SubjectRoleSchema,
} from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { RecordPartSchema } from "../../gen/tandem/type/v1/agreement_pb.js";
import { formatCount, printFields, printRows, type RowColumn } from "../shared/output.ts";
import { enumName, formatTime } from "../shared/values.ts";

/** Prints an erasure and, once it has one, its receipt. */
export function printErasure({ erasure }: { erasure?: Erasure | undefined }): void {
  if (!erasure) return;
  printFields([
    ["erasure", erasure.erasureId || "none: only a forecast"],
    ["state", erasure.erasureId === "" ? undefined : enumName(ErasureStateSchema, erasure.state)],
    ["calls", `${formatTime(erasure.startTime)} to before ${formatTime(erasure.endTime)}`],
    ["role", enumName(SubjectRoleSchema, erasure.role)],
    ["case", erasure.caseReference],
    ["verified by", erasure.verifiedBy],
    ["asked by", erasure.requestedBy],
    ["asked", erasure.createTime && formatTime(erasure.createTime)],
    ["complete", erasure.completeTime && formatTime(erasure.completeTime)],
    ["records", erasure.erasureId === "" ? undefined : formatCount(erasure.erasedRecordCount)],
    ["receipt", erasure.receipt?.receiptTime && formatTime(erasure.receipt.receiptTime)],
  ]);
  if (erasure.receipt) printReceipt(erasure.receipt, erasure.erasureId === "");
}

function printReceipt({ counts, exceptions, notices }: ErasureReceipt, isForecast: boolean): void {
  if (counts.length === 0) console.log("\nNothing was found to erase.");
  // Copies and hashes are found when they are erased: a forecast counts records.
  const found: RowColumn<ErasureCount>[] = [
    left(isForecast ? "would be erased at" : "erased at", ({ carrierId }) => carrierId),
    left("part", partName),
    right("records", ({ recordCount }) => recordCount),
    right("copies", ({ copyCount }) => copyCount),
    right("hashes", ({ hashCount }) => hashCount),
  ];
  print(isForecast ? found.slice(0, 3) : found, counts);
  const at = isForecast ? "would not be erased at" : "not erased at";
  print([left(at, ({ carrierId }: ErasureException) => carrierId), ...EXCEPTION_COLUMNS], exceptions);
  print(NOTICE_COLUMNS, notices);
}

const EXCEPTION_COLUMNS: readonly RowColumn<ErasureException>[] = [
  left("part", partName),
  right("records", ({ recordCount }) => recordCount),
  left("why", ({ reason }) => enumName(ErasureExceptionReasonSchema, reason)),
  left("until", ({ dueTime }) => (dueTime ? formatTime(dueTime) : "the number is released")),
  left("source", ({ reason, source }) => (reason === ErasureExceptionReason.HELD ? `hold ${source}` : source)),
];

const NOTICE_COLUMNS: readonly RowColumn<ErasureNotice>[] = [
  left("readers of", ({ carrierId }) => carrierId),
  left("feed", ({ feed }) => feed),
  { title: "entries", align: "right", read: ({ firstSequence, lastSequence }) => `${firstSequence}-${lastSequence}` },
  right("have been told", ({ informedRecipientCount }) => informedRecipientCount),
  right("not yet", ({ uninformedRecipientCount }) => uninformedRecipientCount),
];

function print<Row>(columns: readonly RowColumn<Row>[], rows: readonly Row[]): void {
  if (rows.length === 0) return;
  console.log("");
  printRows(columns, rows, "");
}

function left<Row>(title: string, read: (row: Row) => string | undefined): RowColumn<Row> {
  return { title, read };
}

function right<Row>(title: string, count: (row: Row) => number | bigint): RowColumn<Row> {
  return { title, align: "right", read: (row) => formatCount(count(row)) };
}

function partName({ recordPart }: { recordPart: number }): string | undefined {
  return enumName(RecordPartSchema, recordPart);
}
