import type { HandlerContext } from "@connectrpc/connect";
import { invalidArgument, TandemError } from "../../domain/errors.ts";
import { findRangeProblem } from "../../domain/numbers/number-ranges.ts";
import {
  type GetNumberRangesRequest,
  type SetNumberRangesRequest,
  SetNumberRangesResponseSchema,
} from "../../gen/tandem/platform/v1/carrier_service_pb.js";
import { systemTransaction } from "../../store/database/database.ts";
import {
  findTakenRange,
  readRanges,
  type StoredRanges,
  type TakenRange,
  writeRanges,
} from "../../store/numbers/number-ranges.ts";
import { hasScope } from "../shared/access/caller.ts";
import { act } from "../shared/act.ts";
import { requireCarrier, type Services } from "../shared/context.ts";
import { repeatableCall } from "../shared/repeatable-call.ts";

/** Replaces a carrier's ranges. The answer, kept for repeats, names no number. */
export async function setNumberRanges(services: Services, request: SetNumberRangesRequest, context: HandlerContext) {
  const call = repeatableCall(services, request, context);
  const problem = findRangeProblem(request.prefixes, request.approvedNumbers);
  if (problem) throw invalidArgument(problem.field, problem.description);
  const { carrierId } = await requireCarrier(services, request.carrierId);
  const ranges: StoredRanges = {
    prefixes: sortedSet(request.prefixes),
    approvedNumbers: sortedSet(request.approvedNumbers),
  };
  const acting = { context, call, carrierId, schema: SetNumberRangesResponseSchema };
  return systemTransaction(services.db, async (tx) => {
    // It locks the ranges: a repeat at the same moment finds the first answer.
    const taken = await findTakenRange(tx, carrierId, ranges.prefixes, request.nestingAllowed);
    return act(tx, acting, async () => {
      if (taken) throw rangeTaken(taken, request.prefixes);
      const before = await readRanges(tx, carrierId);
      await writeRanges(tx, carrierId, ranges);
      return { answer: { ranges: rangesMessage(carrierId, ranges) }, ...auditRanges(carrierId, before, ranges) };
    });
  });
}

/** A carrier's ranges; approved numbers only for whoever may read numbers. */
export async function getNumberRanges(
  services: Services,
  { carrierId: asked }: GetNumberRangesRequest,
  context: HandlerContext,
) {
  const { carrierId } = await requireCarrier(services, asked);
  const ranges = await systemTransaction(services.db, (tx) => readRanges(tx, carrierId));
  const approvedNumbers = hasScope(context, "numbers.read") ? [...ranges.approvedNumbers] : [];
  return { ranges: { ...rangesMessage(carrierId, ranges), approvedNumbers } };
}

function rangesMessage(carrierId: string, { prefixes, approvedNumbers }: StoredRanges) {
  return { carrierId, prefixes: [...prefixes], approvedNumberCount: approvedNumbers.length };
}

function rangeTaken({ carrierId, prefix, asked }: TakenRange, prefixes: readonly string[]): TandemError {
  const field = `prefixes[${prefixes.indexOf(asked)}]`;
  const message = `${field}: a range of carrier ${carrierId} is in the way: ${prefix}`;
  return new TandemError("RANGE_TAKEN", message, { carrier_id: carrierId, prefix, field });
}

// How many, and not which: an approved number is somebody's.
function auditRanges(carrierId: string, before: StoredRanges, after: StoredRanges) {
  const changed = (one: readonly string[], other: readonly string[]) => one.join() !== other.join();
  return {
    resource: `carrier/${carrierId}`,
    changedFields: [
      ...(changed(before.approvedNumbers, after.approvedNumbers) ? ["approved_numbers"] : []),
      ...(changed(before.prefixes, after.prefixes) ? ["prefixes"] : []),
    ],
    details: { prefixes: after.prefixes.length, approved_numbers: after.approvedNumbers.length },
  };
}

// By code unit, as the database compares them.
function sortedSet(texts: readonly string[]): string[] {
  return [...new Set(texts)].sort();
}
