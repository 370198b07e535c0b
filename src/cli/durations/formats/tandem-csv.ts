import { create } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { type CallDuration, CallDurationSchema } from "../../../gen/tandem/type/v1/call_duration_pb.js";
import { readCsvCell } from "../../shared/csv-cells.ts";
import { DURATION_COLUMNS } from "../duration-columns.ts";
import { csvRows } from "./csv-rows.ts";
import {
  type DurationFormat,
  DurationsFileError,
  type Mistake,
  type Reading,
  type Remark,
  type Row,
} from "./format.ts";
import { rowByRow } from "./row-by-row.ts";

/** Tandem's own columns. */
export const TANDEM_CSV: DurationFormat = {
  name: "tandem",
  title: "CSV with Tandem's columns",
  edition: "1",
  needs: [],
  recognises: ({ fields }) => fields.includes("record_id"),
  rows: (bytes) => csvRows(bytes),
  open: (settings, remark) => {
    const reader = rowByRow((row) => {
      const reading = readTandemRow(row, row.cells, remark);
      if (reading.kind === "record") {
        const { record } = reading;
        if (settings.revision !== undefined) record.revision ??= settings.revision;
        if (settings.trunkId !== undefined) record.trunkId ??= settings.trunkId;
        record.direction ||= settings.direction ?? 0;
        record.recordId = `${settings.recordPrefix}${record.recordId}`;
      }
      return reading;
    });
    return {
      take: (row) => {
        if (row.isHeader) checkHeader(row);
        return reader.take(row);
      },
      end: reader.end,
    };
  },
};

function checkHeader({ raw, cells, line }: Row): void {
  const names = Object.keys(cells);
  const unknown = names.filter((name) => DURATION_COLUMNS[name] === undefined);
  if (unknown.length > 0) {
    const known = Object.keys(DURATION_COLUMNS).join(", ");
    throw new DurationsFileError(`line ${line}: unknown column ${unknown.join(", ")}; known are ${known}`);
  }
  const fields = raw
    .trim()
    .split(",")
    .map((name) => name.trim());
  const repeated = fields.filter((name, index) => fields.indexOf(name) !== index);
  if (repeated.length > 0) throw new DurationsFileError(`line ${line}: twice in the header: ${repeated.join(", ")}`);
  if (!names.includes("record_id")) throw new DurationsFileError(`line ${line}: the header lacks record_id`);
}

/**
 * Reads texts by Tandem's columns.
 * @param nameOf how the file calls a column, for what is said of it.
 */
export function readTandemRow(
  row: Row,
  texts: Readonly<Record<string, string>>,
  remark: Remark,
  nameOf: (column: string) => string = (column) => column,
): Reading {
  const record = create(CallDurationSchema);
  const mistakes: Mistake[] = [];
  const blame = (text: string) => mistakes.push({ line: row.line, text });
  if (row.broken !== undefined) blame(row.broken);
  for (const [column, cell] of Object.entries(texts)) {
    const text = readCsvCell(cell);
    if (text !== "") readField(column, text, record, { blame, remark: (said) => remark(row, said), nameOf });
  }
  const start = record.inviteTime ?? record.answerTime;
  if (record.recordDate === "" && start !== undefined)
    record.recordDate = timestampDate(start).toISOString().slice(0, 10);
  return mistakes.length > 0 ? { kind: "mistakes", rows: [row], mistakes } : { kind: "record", rows: [row], record };
}

interface FieldListener {
  readonly blame: (mistake: string) => void;
  readonly remark: (said: string) => void;
  readonly nameOf: (column: string) => string;
}

function readField(column: string, text: string, record: CallDuration, { blame, remark, nameOf }: FieldListener): void {
  const name = nameOf(column);
  // What the file's bytes do not say in UTF-8 came as this character: sent so, it would be another
  // text.
  if (text.includes("\ufffd")) {
    blame(`${name} is not valid UTF-8`);
    return;
  }
  try {
    const said = DURATION_COLUMNS[column]?.read(text, record);
    if (said) remark(`${name} ${said}`);
  } catch (error) {
    blame(`${name} is ${JSON.stringify(text)}: ${lowerFirst(error instanceof Error ? error.message : `${error}`)}`);
  }
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
