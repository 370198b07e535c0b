import { Code, ConnectError } from "@connectrpc/connect";
import { type Command, Option } from "commander";
import { ReconciliationService as OfCarrier } from "../../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import {
  type ExplainCallRequest,
  type ExplainCallResponse,
  ReconciliationService as OfAll,
} from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { ask, connectFor, methodOf, printAnswer } from "../shared/calls.ts";
import { type Connection, type ConnectionOptions, carrierOption, csvCommand } from "../shared/connection.ts";
import { printExplanation } from "./print-explanation.ts";

const METHODS = [OfCarrier.method.explainCall, OfAll.method.explainCall];

interface ExplainOptions extends ConnectionOptions {
  readonly by?: Target;
  readonly recordDate?: string;
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
  return csvCommand("explain")
    .description("Explain one call: both sides' records, what matched and what did not, step by step.")
    .argument("<id>", "the id of a discrepancy, a call, or either side's record")
    .addOption(carrierOption("the carrier; needed unless the id is a call's, or the token is a carrier's"))
    .addOption(
      new Option("--by <what>", "what the id belongs to (default: the first that is found)").choices(
        Object.keys(TARGETS),
      ),
    )
    .field("recordDate", "--date <day>", "the record's day, as ids are reused")
    .addHelpText(
      "after",
      `
It explains calls that agree, too. With a carrier's token it explains that carrier's own calls.

Examples:
  tandem reconcile explain 5Xb0e7wYQd1mRk2n --carrier nordlys-tele
  tandem reconcile explain cdr-4711 --by cdr --carrier nordlys-tele --date 2026-03-01
  tandem reconcile explain call-4711`,
    )
    .action(async (id: string, options: ExplainOptions) => {
      using connection = await connectFor(options, METHODS);
      const answer = await explain(connection, id, options);
      // The two sides' messages are alike, in types that TypeScript cannot join.
      const { explanations, truncated } = answer as ExplainCallResponse;
      printAnswer(options, methodOf(connection, METHODS).output, answer, () => {
        for (const [index, explanation] of explanations.entries()) {
          if (index > 0) console.log();
          printExplanation(explanation);
        }
      });
      if (truncated) console.error("There are more: narrow it with --carrier or --date");
    });
}

type Answer = Awaited<ReturnType<typeof explainBy>>;

async function explain(connection: Connection, id: string, options: ExplainOptions): Promise<Answer> {
  let missing: unknown;
  for (const target of targetsOf(connection, options)) {
    try {
      return await explainBy(connection, id, { ...options, by: target });
    } catch (error) {
      if (!(error instanceof ConnectError) || error.code !== Code.NotFound) throw error;
      missing = error;
    }
  }
  if (connection.role === "platform" && options.carrierId === undefined)
    console.error("Only a call's id is looked for at every carrier: see --carrier");
  throw missing;
}

function targetsOf({ role }: Connection, { by, carrierId, recordDate }: ExplainOptions): Target[] {
  if (by !== undefined) return [by];
  if (role === "platform" && carrierId === undefined) return ["call"];
  return recordDate === undefined ? ["discrepancy", "call", "cdr", "duration"] : ["cdr", "duration"];
}

async function explainBy(connection: Connection, id: string, options: ExplainOptions & { readonly by: Target }) {
  const target = { case: TARGETS[options.by], value: id } as ExplainCallRequest["target"];
  try {
    return await ask(connection, METHODS, { ...options, target });
  } catch (error) {
    if (!(error instanceof ConnectError) || error.code !== Code.Unimplemented) throw error;
    throw new Error("this server does not explain calls: it is older than this command", { cause: error });
  }
}
