import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import type { HandlerContext } from "@connectrpc/connect";
import type { ErrorReason } from "../../domain/errors.ts";
import type { NumberProblem } from "../../domain/numbers/number-changes.ts";
import type { AuditAct } from "../../domain/privacy/audit.ts";
import type { AuditedRequestId } from "../../domain/privacy/audited-request-id.ts";
import { AuditOutcome } from "../../gen/tandem/platform/v1/audit_event_pb.js";
import type { NumberBatchOutcome } from "../../store/numbers/number-batch.ts";
import type { NumberAudit } from "../../store/numbers/number-call.ts";
import { actorOf, methodOf } from "../shared/audit/audit.ts";

/** An item of a call: which number, or which problem. */
export type NumberSlot = { readonly echo: string } & (
  | { readonly phoneNumber: string }
  | { readonly problem: NumberProblem }
);

/** A batch of numbers, as the audit log tells of it. */
export interface AuditedBatch {
  readonly context: HandlerContext;
  /** Whose numbers. */
  readonly carrierId: string;
  readonly requestId: AuditedRequestId;
  readonly changedFields?: readonly string[];
  readonly details?: Readonly<Record<string, unknown>>;
}

/**
 * What the audit log is told of a batch: how many numbers were changed, and why others were not. A
 * batch that found nothing to change is no act; one whose every number was refused is a refusal,
 * unless it told a carrier that a number is another's, which is always kept.
 */
export function auditBatch(
  batch: AuditedBatch,
  slots: readonly NumberSlot[],
  outcome: NumberBatchOutcome,
): NumberAudit {
  const reasons = slots.flatMap((slot): ErrorReason[] => {
    const result = "problem" in slot ? slot : outcome.results.get(slot.phoneNumber);
    return result && "problem" in result ? [result.problem.reason] : [];
  });
  const refused: Record<string, number> = {};
  for (const reason of reasons) refused[reason] = (refused[reason] ?? 0) + 1;
  const act: AuditAct = {
    carrierId: batch.carrierId,
    actor: actorOf(batch.context),
    method: methodOf(batch.context),
    resource: `numbers/${slots.length}`,
    outcome: AuditOutcome.DONE,
    requestId: batch.requestId,
    details: { ...batch.details, changed: outcome.changed.length, ...(reasons.length > 0 ? { refused } : {}) },
  };
  if (outcome.changed.length > 0) return { act: { ...act, changedFields: batch.changedFields } };
  if (reasons.includes("NUMBER_UNAVAILABLE"))
    return { act: { ...act, outcome: AuditOutcome.REFUSED, errorReason: "NUMBER_UNAVAILABLE" } };
  const [errorReason] = reasons;
  return errorReason === undefined ? {} : { refusal: { ...act, outcome: AuditOutcome.REFUSED, errorReason } };
}

/**
 * The fields, by path, that any of these items sets; without those that say which number, and when.
 */
export function fieldsSet<Desc extends DescMessage>(schema: Desc, items: readonly MessageShape<Desc>[]): string[] {
  const set = new Set<string>();
  for (const item of items) {
    const message = reflect(schema, item);
    for (const field of message.sortedFields) if (message.isSet(field)) set.add(field.name);
  }
  return [...set].filter((name) => name !== "phone_number" && name !== "effective_time").sort();
}
