import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { invalidArgument, TandemError } from "../../domain/errors.ts";
import { findRangeProblem } from "../../domain/numbers/number-ranges.ts";
import {
  type GetNumberRangesRequest,
  type SetNumberRangesRequest,
  SetNumberRangesRequestSchema,
  SetNumberRangesResponseSchema,
} from "../../gen/tandem/platform/v1/carrier_service_pb.js";
import { appendAuditEvent } from "../../store/audit/audit-log.ts";
import { systemTransaction } from "../../store/database/database.ts";
import { findResponse, insertResponse } from "../../store/database/request-log.ts";
import {
  findTakenRange,
  readRanges,
  type StoredRanges,
  type TakenRange,
  writeRanges,
} from "../../store/numbers/number-ranges.ts";
import { hasScope } from "../shared/access/caller.ts";
import { doneBy } from "../shared/audit/audit.ts";
import { requireCarrier, type Services } from "../shared/context.ts";
import { repeatableCall } from "../shared/repeatable-call.ts";

/**
 * Replaces the ranges in which a carrier may claim numbers. The answer, which is kept for repeats,
 * names no number.
 */
export async function setNumberRanges(services: Services, request: SetNumberRangesRequest, context: HandlerContext) {
  const call = repeatableCall(services, "SetNumberRanges", SetNumberRangesRequestSchema, request);
  const problem = findRangeProblem(request.prefixes, request.approvedNumbers);
  if (problem) throw invalidArgument(problem.field, problem.description);
  const { carrierId } = await requireCarrier(services, request.carrierId);
  const ranges: StoredRanges = {
    prefixes: sortedSet(request.prefixes),
    approvedNumbers: sortedSet(request.approvedNumbers),
  };
  const response = await systemTransaction(services.db, async (tx) => {
    // Under its lock no other call changes ranges: a repeat at the same moment finds the first
    // answer.
    const taken = await findTakenRange(tx, carrierId, ranges.prefixes, request.nestingAllowed);
    const given = await findResponse(tx, carrierId, call);
    if (given) return given;
    if (taken) throw rangeTaken(taken, request.prefixes);
    const before = await readRanges(tx, carrierId);
    await writeRanges(tx, carrierId, ranges);
    const message = create(SetNumberRangesResponseSchema, { ranges: rangesMessage(carrierId, ranges) });
    const fresh = toBinary(SetNumberRangesResponseSchema, message);
    await insertResponse(tx, carrierId, call, fresh);
    await appendAuditEvent(
      tx,
      doneBy(context, { ...auditRanges(carrierId, before, ranges), requestId: call.auditedId }),
    );
    return fresh;
  });
  return fromBinary(SetNumberRangesResponseSchema, response);
}

/**
 * A carrier's ranges; the numbers that are approved one by one only for whoever may read numbers.
 */
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
    carrierId,
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
