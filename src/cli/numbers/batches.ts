import { randomUUID } from "node:crypto";
import { create, type DescMessage, type DescMethodUnary, type MessageInitShape } from "@bufbuild/protobuf";
import type { NumberOutcome } from "../../gen/tandem/type/v1/phone_number_pb.js";
import { call } from "../shared/calls.ts";
import { type ConnectionOptions, connect, type Role } from "../shared/connection.ts";
import { printMessage } from "../shared/output.ts";
import { printOutcomes } from "./print-numbers.ts";

/** The most that the contract takes in one call. */
const MAX_BATCH = 1_000;

/** Makes a call for each batch of numbers, and prints what became of them all. */
export async function changeNumbers<Method extends DescMethodUnary>(
  options: ConnectionOptions,
  role: Role,
  method: Method,
  phoneNumbers: readonly string[],
  requestOf: (batch: string[]) => MessageInitShape<Method["input"]>,
): Promise<void> {
  using connection = await connect(options, role);
  const outcomes: NumberOutcome[] = [];
  for (let start = 0; start < phoneNumbers.length; start += MAX_BATCH) {
    const batch = phoneNumbers.slice(start, start + MAX_BATCH);
    const request = { ...requestOf(batch), requestId: randomUUID() } as MessageInitShape<Method["input"]>;
    const answer = (await call(connection, method, request)) as unknown as { outcomes: NumberOutcome[] };
    outcomes.push(...answer.outcomes);
  }
  const schema: DescMessage = method.output;
  if (options.json) printMessage(schema, create(schema, { outcomes }));
  printOutcomes(outcomes, options.json ?? false);
}
