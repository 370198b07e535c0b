import { randomUUID } from "node:crypto";
import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import type { NumberOutcome } from "../../gen/tandem/type/v1/phone_number_pb.js";
import type { ConnectionOptions } from "../shared/connection.ts";
import { printMessage } from "../shared/output.ts";
import { printOutcomes } from "./print-numbers.ts";

/** The most that the contract takes in one call. */
const MAX_BATCH = 1_000;

/** The numbers of one call. */
interface NumberBatch {
  readonly requestId: string;
  readonly phoneNumbers: string[];
}

/**
 * Changes numbers in as many calls as it takes, and prints what became of each. Says by the exit
 * code when one failed.
 * @param schema of the answer to one call; `--json` prints one with all outcomes.
 */
export async function changeNumbers<Desc extends DescMessage>(
  phoneNumbers: readonly string[],
  { json }: ConnectionOptions,
  schema: Desc,
  call: (batch: NumberBatch) => Promise<{ readonly outcomes: NumberOutcome[] }>,
): Promise<void> {
  const outcomes: NumberOutcome[] = [];
  for (let start = 0; start < phoneNumbers.length; start += MAX_BATCH) {
    const batch = { requestId: randomUUID(), phoneNumbers: phoneNumbers.slice(start, start + MAX_BATCH) };
    outcomes.push(...(await call(batch)).outcomes);
  }
  if (json) printMessage(schema, { outcomes } as unknown as MessageInitShape<Desc>);
  printOutcomes(outcomes, json === true);
}
