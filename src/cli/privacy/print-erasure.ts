import {
  type Erasure,
  ErasureExceptionReason,
  ErasureExceptionReasonSchema,
  type ErasureReceipt,
  ErasureStateSchema,
  SubjectRoleSchema,
} from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { RecordPartSchema } from "../../gen/tandem/type/v1/agreement_pb.js";
import { formatCount, formatTable, printFields } from "../shared/output.ts";
import { enumName, formatTime } from "../shared/values.ts";

/** Prints an erasure and, once it has one, its receipt. */
export function printErasure(erasure: Erasure): void {
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
  else {
    const columns = [
      { title: isForecast ? "would be erased at" : "erased at" },
      { title: "part" },
      right("records"),
      right("copies"),
      right("hashes"),
    ];
    const rows = counts.map((count) => [
      count.carrierId,
      partName(count.recordPart),
      formatCount(count.recordCount),
      formatCount(count.copyCount),
      formatCount(count.hashCount),
    ]);
    // Copies and hashes are found when they are erased: a forecast counts records.
    if (isForecast) print(columns.slice(0, 3), rows);
    else print(columns, rows);
  }
  if (exceptions.length > 0) {
    const columns = [
      { title: isForecast ? "would not be erased at" : "not erased at" },
      { title: "part" },
      right("records"),
      { title: "why" },
      { title: "until" },
      { title: "source" },
    ];
    const rows = exceptions.map((exception) => [
      exception.carrierId,
      partName(exception.recordPart),
      formatCount(exception.recordCount),
      enumName(ErasureExceptionReasonSchema, exception.reason) ?? "",
      exception.dueTime ? formatTime(exception.dueTime) : "the number is released",
      exception.reason === ErasureExceptionReason.HELD ? `hold ${exception.source}` : (exception.source ?? ""),
    ]);
    print(columns, rows);
  }
  if (notices.length > 0) {
    const columns = [
      { title: "readers of" },
      { title: "feed" },
      right("entries"),
      right("have been told"),
      right("not yet"),
    ];
    const rows = notices.map((notice) => [
      notice.carrierId,
      notice.feed,
      `${notice.firstSequence}-${notice.lastSequence}`,
      formatCount(notice.informedRecipientCount),
      formatCount(notice.uninformedRecipientCount),
    ]);
    print(columns, rows);
  }
}

function print(columns: Parameters<typeof formatTable>[0], rows: string[][]): void {
  console.log(`\n${formatTable(columns, rows).join("\n")}`);
}

function right(title: string) {
  return { title, align: "right" } as const;
}

function partName(part: number): string {
  return (enumName(RecordPartSchema, part) ?? "").toLowerCase().replaceAll("_", " ");
}
