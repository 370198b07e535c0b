import { create, type DescMessage, type DescMethodUnary } from "@bufbuild/protobuf";
import type { NumberOutcome } from "../../gen/tandem/type/v1/phone_number_pb.js";
import { ask, connectFor, printAnswer } from "../shared/calls.ts";
import type { ConnectionOptions } from "../shared/connection.ts";
import { printOutcomes } from "./print-numbers.ts";

/** The most that the contract takes in one call. */
const MAX_BATCH = 1_000;

/**
 * Makes a call for each batch of numbers, and prints what became of them all. Some calls have
 * items, and others only the numbers.
 */
export async function changeNumbers(
  options: ConnectionOptions,
  method: DescMethodUnary,
  numbers: readonly string[],
): Promise<void> {
  using connection = await connectFor(options, method);
  const outcomes: NumberOutcome[] = [];
  for (let start = 0; start < numbers.length; start += MAX_BATCH) {
    const phoneNumbers = numbers.slice(start, start + MAX_BATCH);
    const items = phoneNumbers.map((phoneNumber) => ({ ...options, phoneNumber }));
    const request: Record<string, unknown> = { ...options, phoneNumbers, items };
    // Every method that changes numbers answers with outcomes.
    const answer = (await ask(connection, method, request)) as unknown as { outcomes: NumberOutcome[] };
    outcomes.push(...answer.outcomes);
  }
  const schema: DescMessage = method.output;
  printAnswer(options, schema, create(schema, { outcomes }), () => printOutcomes(outcomes));
  if (outcomes.some(({ result }) => result.case === "failure")) process.exitCode = 1;
}
