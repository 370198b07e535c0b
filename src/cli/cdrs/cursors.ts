import type { Command } from "commander";
import { CdrFilterSchema, CdrService } from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import { callAndPrint } from "../shared/calls.ts";
import { type ConnectionOptions, carrierOption, csvCommand } from "../shared/connection.ts";
import { filterOf } from "../shared/fields.ts";
import { printFields } from "../shared/output.ts";
import { formatTime, parseTime } from "../shared/values.ts";
import { TIME_HELP } from "../shared/window.ts";
import { withCdrFilter } from "./cdr-filter.ts";

/** `tandem cdrs resolve` */
export function resolveCommand(): Command {
  const command = csvCommand("resolve")
    .description("Print the cursor from which a feed goes on with what was ingested at a time or later.")
    .addOption(carrierOption())
    .requiredField("ingestTime", "--at <time>", "the ingest time", parseTime);
  return withCdrFilter(command)
    .addHelpText(
      "after",
      `\nA cursor is bound to its filter. ${TIME_HELP}\n\nExample:\n  tandem cdrs resolve --carrier nordlys-tele --at 24h`,
    )
    .action((options: ConnectionOptions) => {
      const request = { ...options, filter: filterOf(CdrFilterSchema, options) };
      return callAndPrint(options, CdrService.method.resolveCdrCursor, request, ({ cursor, afterSequence }) =>
        printFields([
          ["cursor", cursor],
          ["after", `sequence ${afterSequence}`],
        ]),
      );
    });
}

/** `tandem cdrs commit` */
export function commitCommand(): Command {
  return csvCommand("commit")
    .description("Keep a position for a named consumer. `cdrs follow --from consumer:<name>` goes on from it.")
    .argument("<consumer>", "the consumer's name")
    .addOption(carrierOption())
    .requiredOption("--cursor <cursor>", "the position: what the consumer has applied")
    .field("previousCursor", "--if-at <cursor>", "only if this is the position that is kept now")
    .addHelpText("after", "\nExample:\n  tandem cdrs commit billing --carrier nordlys-tele --cursor CURSOR")
    .action((consumer: string, options: ConnectionOptions) =>
      callAndPrint(options, CdrService.method.commitCdrCursor, { ...options, consumer }, (answer) =>
        printFields([
          ["consumer", answer.consumer?.consumer],
          ["sequence", `${answer.consumer?.committedSequence}`],
          ["behind", `${answer.consumer?.lagEntries} entries`],
          ["committed", formatTime(answer.consumer?.commitTime)],
        ]),
      ),
    );
}
