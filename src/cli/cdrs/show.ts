import { Code, ConnectError } from "@connectrpc/connect";
import type { Command } from "commander";
import { CdrService, GetCdrResponseSchema } from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import { ReconciliationService as OfCarrier } from "../../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { CdrService as PlatformCdrService } from "../../gen/tandem/platform/v1/platform_cdr_service_pb.js";
import {
  type ExplainCallResponse,
  ReconciliationService as OfAll,
} from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import type { CallDetailRecord } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { ask, connectFor, printAnswer } from "../shared/calls.ts";
import { type Connection, type ConnectionOptions, carrierOption, csvCommand } from "../shared/connection.ts";
import { printCall } from "./print-call.ts";

const READ = [CdrService.method.getCdr, PlatformCdrService.method.getCdr];
const EXPLAIN = [OfCarrier.method.explainCall, OfAll.method.explainCall];

/** `tandem cdrs show` */
export function showCommand(): Command {
  return csvCommand("show")
    .description("Show one call on one screen: its times, quality and legs, and what the other side says of it.")
    .argument("<call>", "the call's id, or the id of one of its records")
    .addOption(carrierOption())
    .addHelpText(
      "after",
      `
With --json or --csv: the platform's records of the call. For every step of the judgement: tandem reconcile explain.

Example:
  tandem cdrs show call-4711 --carrier nordlys-tele`,
    )
    .action(async (id: string, options: ConnectionOptions) => {
      using connection = await connectFor(options, READ);
      const { records } = await readCall(connection, options, id);
      const [first] = records;
      if (!first) throw new Error(`the server answered without a record of ${id}`);
      // A carrier's own records do not say whose they are.
      const carrierId = options.carrierId ?? first.carrierId;
      const explained =
        options.json || options.csv ? undefined : await explain(connection, { ...options, carrierId }, first.callId);
      printAnswer(options, GetCdrResponseSchema, { records }, () => printCall(records, explained?.explanations ?? []));
    });
}

/** By the call's id, else by a record's: then all records of that record's call. */
async function readCall(
  connection: Connection,
  options: ConnectionOptions,
  id: string,
): Promise<{ records: CallDetailRecord[] }> {
  const named = (name: "callId" | "recordId", value: string) =>
    ask(connection, READ, { ...options, name: { case: name, value } });
  try {
    return await named("callId", id);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    const found = await named("recordId", id).catch((cause) => {
      if (isNotFound(cause))
        throw new Error(`no call and no record has the id ${id}: tandem cdrs list --help`, { cause });
      throw cause;
    });
    const callId = found.records[0]?.callId;
    return callId === undefined || callId === "" ? found : await named("callId", callId);
  }
}

/** Undefined: it is not judged yet, or the caller may not know. */
async function explain(
  connection: Connection,
  options: ConnectionOptions,
  callId: string,
): Promise<ExplainCallResponse | undefined> {
  try {
    return (await ask(connection, EXPLAIN, {
      ...options,
      target: { case: "callId", value: callId },
    })) as ExplainCallResponse;
  } catch (error) {
    const mayNotKnow = error instanceof ConnectError && error.code === Code.PermissionDenied;
    if (isNotFound(error) || mayNotKnow) return undefined;
    throw error;
  }
}

function isNotFound(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.NotFound;
}
