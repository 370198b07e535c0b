import { Code, ConnectError } from "@connectrpc/connect";
import { type Command, Option } from "commander";
import {
  type ExplainCallRequest,
  type ExplainCallResponse,
  ExplainCallResponseSchema,
  ReconciliationService,
} from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { type Connection, type ConnectionOptions, connect, remoteCommand } from "../connection.ts";
import { printMessage } from "../output.ts";
import { printExplanation } from "./print-explanation.ts";

interface ExplainOptions extends ConnectionOptions {
  readonly by?: Target;
  readonly date?: string;
}

/** What an id may be of, in the order in which it is looked for. */
const TARGETS = {
  discrepancy: "discrepancyId",
  call: "callId",
  cdr: "platformRecordId",
  duration: "carrierRecordId",
} as const;
type Target = keyof typeof TARGETS;

/** `tandem reconcile explain` */
export function explainCommand(): Command {
  return remoteCommand("explain")
    .description("Explain one call: both sides' records, what matched or did not, and every step of the judgement.")
    .argument("<id>", "the id of a discrepancy, a call, or either side's record")
    .option("--carrier <id>", "the carrier; needed unless the id is a call's")
    .addOption(
      new Option("--by <what>", "what the id is of (default: the first that there is)").choices(Object.keys(TARGETS)),
    )
    .option("--date <day>", "the record's day, for ids are used again")
    .addHelpText(
      "after",
      `
It answers for calls that agree as well.

Examples:
  tandem reconcile explain 5Xb0e7wYQd1mRk2n --carrier nordlys-tele
  tandem reconcile explain rec-20260301-17 --by cdr --carrier nordlys-tele --date 2026-03-01
  tandem reconcile explain call-4711`,
    )
    .action(async (id: string, options: ExplainOptions) => {
      using connection = await connect(options, "platform");
      const response = await explain(connection, id, options);
      if (options.json) {
        printMessage(ExplainCallResponseSchema, response);
        return;
      }
      for (const [index, explanation] of response.explanations.entries()) {
        if (index > 0) console.log();
        printExplanation(explanation);
      }
      if (response.truncated) console.error("There are more: narrow it with --carrier or --date");
    });
}

async function explain(connection: Connection, id: string, options: ExplainOptions): Promise<ExplainCallResponse> {
  let missing: unknown;
  for (const target of targetsOf(options)) {
    try {
      return await explainBy(connection, id, { ...options, by: target });
    } catch (error) {
      if (!(error instanceof ConnectError) || error.code !== Code.NotFound) throw error;
      missing = error;
    }
  }
  if (options.carrier === undefined) console.error("Only a call's id is looked for at every carrier: see --carrier");
  throw missing;
}

function targetsOf({ by, carrier, date }: ExplainOptions): Target[] {
  if (by !== undefined) return [by];
  if (carrier === undefined) return ["call"];
  return date === undefined ? ["discrepancy", "call", "cdr", "duration"] : ["cdr", "duration"];
}

async function explainBy(
  connection: Connection,
  id: string,
  { by, carrier, date }: ExplainOptions & { readonly by: Target },
): Promise<ExplainCallResponse> {
  try {
    return await connection.client(ReconciliationService).explainCall({
      carrierId: carrier ?? "",
      target: { case: TARGETS[by], value: id } as ExplainCallRequest["target"],
      ...(date === undefined ? {} : { recordDate: date }),
    });
  } catch (error) {
    if (!(error instanceof ConnectError) || error.code !== Code.Unimplemented) throw error;
    throw new Error("this server does not explain calls: it is older than this command", { cause: error });
  }
}
