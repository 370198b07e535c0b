import { FeedId } from "../../domain/feed-id.ts";
import type { AuditAct } from "../../domain/privacy/audit.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { appendAuditEvent } from "../audit/audit-log.ts";
import { outlivingCall } from "../database/callers.ts";
import { carrierTransaction, systemTransaction } from "../database/database.ts";
import { findResponse, insertResponse, type RepeatableCall } from "../database/request-log.ts";
import { lockFeed } from "../feeds/feed-head.ts";
import { changeNumbers, type NumberBatch, type NumberBatchOutcome, type NumberResult } from "./number-batch.ts";
import { freeNumbers, type NumberClaim } from "./number-owners.ts";
import { raiseClaimTimes } from "./number-rows.ts";
import type { NumberWriter } from "./number-writer.ts";

// What the batch methods of numbers share: a call, its answer, and the transaction between.

export interface NumberCall extends RepeatableCall {
  readonly respond: (results: ReadonlyMap<string, NumberResult>) => Uint8Array;
  /** What the audit log is told of what the batch did. */
  readonly audit: (outcome: NumberBatchOutcome) => NumberAudit;
}

export interface NumberAudit {
  /** What was done, in the transaction in which it was. */
  readonly act?: AuditAct;
  /** That nothing was done: for the caller to log, within limits. */
  readonly refusal?: AuditAct;
}

export interface NumberAnswer {
  readonly response: Uint8Array;
  /** How many numbers were found to be another carrier's; 0 for an answer that is repeated. */
  readonly unavailable: number;
  /** That every number was refused, for the audit log. */
  readonly refusal?: AuditAct | undefined;
}

const NO_CLAIMS: ReadonlyMap<string, Micros> = new Map();

/** In one transaction: the earlier answer, or the change and its answer. `claims`: the call's. */
export async function runOnce(
  writer: NumberWriter,
  carrierId: string,
  call: NumberCall,
  batch: Pick<NumberBatch, "numbers" | "decide" | "mostHeld">,
  claims: ReadonlyMap<string, Micros> = NO_CLAIMS,
): Promise<NumberAnswer> {
  const { response, outcome, refusal } = await carrierTransaction(writer.db, carrierId, async (tx) => {
    const lock = await lockFeed(tx, carrierId, FeedId.NUMBERS);
    const given = await findResponse(tx, carrierId, call);
    if (given) {
      // A repeat was faster; its rows now hold this call's claims.
      await raiseClaimTimes(tx, carrierId, claims);
      return { response: given };
    }
    const done = await changeNumbers(tx, lock, { ...batch, carrierId, encode: writer.encode });
    const fresh = call.respond(done.results);
    await insertResponse(tx, carrierId, call, fresh);
    const { act, refusal } = call.audit(done);
    if (act) await appendAuditEvent(tx, act);
    return { response: fresh, outcome: done, refusal };
  });
  if (outcome) writer.changed(carrierId, outcome);
  return { response, unavailable: outcome ? countUnavailable(outcome) : 0, refusal };
}

function countUnavailable({ results }: NumberBatchOutcome): number {
  let count = 0;
  for (const result of results.values()) {
    if ("problem" in result && result.problem.reason === "NUMBER_UNAVAILABLE") count++;
  }
  return count;
}

/** Frees claims. Those that stay because the store fails are left to the sweeper. */
export async function freeClaims(
  writer: NumberWriter,
  carrierId: string,
  claims: readonly NumberClaim[],
): Promise<void> {
  if (claims.length === 0) return;
  const free = () => systemTransaction(writer.db, (tx) => freeNumbers(tx, carrierId, claims));
  await outlivingCall(free).catch(writer.onError);
}
