import { create, toJson } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { followNumbers, type NumberRun } from "../../client/follow-numbers.ts";
import { given } from "../../domain/given.ts";
import { type NumberChange, NumberService } from "../../gen/tandem/carrier/v1/number_service_pb.js";
import { FeedStartLatestSchema } from "../../gen/tandem/type/v1/feed_pb.js";
import {
  NumberFilterSchema,
  NumberStateSchema,
  type PhoneNumber,
  PhoneNumberSchema,
} from "../../gen/tandem/type/v1/phone_number_pb.js";
import { type ConnectionOptions, carrierOption, connect, csvCommand } from "../shared/connection.ts";
import { formatCsv, messageColumns } from "../shared/csv-output.ts";
import { filterOf } from "../shared/fields.ts";
import { createTeller, cursorStore, printFollowEnd, untilInterrupted } from "../shared/following.ts";
import { formatJson, styled } from "../shared/output.ts";
import { enumName } from "../shared/values.ts";
import { withNumberFilter } from "./list.ts";

interface WatchOptions extends ConnectionOptions {
  readonly changesOnly?: true;
  readonly untilSynced?: true;
  readonly cursorFile?: string;
}

export function watchCommand(): Command {
  return withNumberFilter(csvCommand("watch"))
    .description("Follow the carrier's numbers: first all current ones, then each change, until Ctrl-C.")
    .addOption(carrierOption())
    .option("--changes-only", "begin with the next change")
    .option("--until-synced", "stop after the current ones instead of following")
    .option("--cursor-file <file>", "keep the position here and resume from it at the next start")
    .addHelpText(
      "after",
      "\nWith --json: one PhoneNumber a line.\n\nExample:\n  tandem numbers watch --carrier nordlys-tele --state assigned",
    )
    .action(watch);
}

async function watch(options: WatchOptions): Promise<void> {
  using connection = await connect(options, "carrier");
  const print = options.csv ? createCsvPrinter() : (run: NumberRun) => printRun(run, options.json ?? false);
  const stop = new AbortController();
  const result = await followNumbers(connection.client(NumberService), {
    start: options.changesOnly ? { case: "latest", value: create(FeedStartLatestSchema) } : "initialState",
    store: cursorStore(options.cursorFile),
    ...given({ filter: filterOf(NumberFilterSchema, options) }),
    signal: AbortSignal.any([untilInterrupted(), stop.signal]),
    onEvent: createTeller(),
    apply: async (run) => {
      print(run);
      if (run.kind === "SYNCED" && options.untilSynced) stop.abort();
    },
  });
  if (!stop.signal.aborted) printFollowEnd(result);
}

/** A row for each number as it is now; an erasure is told beside them. */
function createCsvPrinter(): (run: NumberRun) => void {
  let isFirst = true;
  return (run) => {
    const changes = run.kind === "CHANGES" ? run.changes.map(({ change }) => change) : [];
    const changed = changes.flatMap((change) => (change.case === "phoneNumber" ? [change.value] : []));
    const numbers = run.kind === "SNAPSHOT" ? run.numbers : changed;
    process.stdout.write(formatCsv(messageColumns(PhoneNumberSchema), numbers, isFirst));
    isFirst = false;
    for (const change of changes) if (change.case !== "phoneNumber") tellErased(change.value?.sequence);
    if (run.kind === "SYNCED") tellSynced(run.numberCount);
  };
}

function tellSynced(count: bigint | number): void {
  console.error(`these are all: ${count} numbers`);
}

function tellErased(sequence: bigint | undefined): void {
  console.error(`numbers were erased, at sequence ${sequence}`);
}

function printRun(run: NumberRun, isJson: boolean): void {
  switch (run.kind) {
    case "SNAPSHOT":
      for (const number of run.numbers) printRow(number, isJson);
      break;
    case "SYNCED":
      tellSynced(run.numberCount);
      break;
    case "CHANGES":
      for (const change of run.changes) printChange(change, isJson);
      break;
    default:
      throw new Error(`unknown run ${run satisfies never}`);
  }
}

function printChange({ change, leftFilter }: NumberChange, isJson: boolean): void {
  if (change.case === "phoneNumber") printRow(change.value, isJson, leftFilter ? "  (no longer matches)" : "");
  else tellErased(change.value?.sequence);
}

function printRow(number: PhoneNumber, isJson: boolean, note = ""): void {
  if (isJson) {
    console.log(formatJson(toJson(PhoneNumberSchema, number)));
    return;
  }
  const state = enumName(NumberStateSchema, number.state) ?? "";
  const revision = styled("dim", `#${number.revision}`);
  console.log(
    `${number.phoneNumber.padEnd(16)}  ${state.padEnd(11)}  ${(number.customerId ?? "").padEnd(16)}  ${revision}${note}`,
  );
}
