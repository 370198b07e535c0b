import { setTimeout as wait } from "node:timers/promises";
import type { Logger } from "pino";
import { type AuditAct, AuditOutcome } from "../domain/audit.ts";
import { TandemError } from "../domain/errors.ts";
import { appendAuditEvent } from "../store/audit-log.ts";
import { outlivingCall } from "../store/callers.ts";
import { type Database, systemTransaction } from "../store/database.ts";
import { RefusalBudget } from "./refusal-budget.ts";

/** How long an answer is held back until its refusal is written, milliseconds. */
const MAX_WAIT_MS = 1_000;

export interface RefusalLogOptions {
  readonly db: Database;
  readonly log: Logger;
  readonly budget?: RefusalBudget;
}

/**
 * Writes administrative acts that were refused or that failed: what an act does is rolled back with it, so its event has a transaction of its own. Bounded,
 * and never the reason for another answer: what cannot be written is logged. Dispose it to wait for what is being written.
 */
export class RefusalLog implements AsyncDisposable {
  readonly #options: RefusalLogOptions;
  readonly #budget: RefusalBudget;
  readonly #writing = new Set<Promise<void>>();

  constructor(options: RefusalLogOptions) {
    this.#options = options;
    this.#budget = options.budget ?? new RefusalBudget();
  }

  /** Writes an act that was not done. Waits for the commit, but not long, and never throws. */
  async record(act: Omit<AuditAct, "outcome">): Promise<void> {
    const allowed = this.#budget.take(JSON.stringify([act.carrierId, act.actor, act.method, act.errorReason]));
    if (!allowed) return;
    const { unwritten } = allowed;
    const details = { ...act.details, ...(unwritten === 0 ? {} : { unwritten_before: unwritten }) };
    // Whoever hangs up is written down all the same.
    const writing = outlivingCall(() => this.#write({ ...act, outcome: outcomeOf(act), details }));
    this.#writing.add(writing);
    const done = new AbortController();
    const finished = writing.finally(() => {
      this.#writing.delete(writing);
      done.abort();
    });
    await Promise.race([finished, wait(MAX_WAIT_MS, undefined, { signal: done.signal }).catch(() => {})]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#writing);
  }

  async #write(act: AuditAct): Promise<void> {
    const { db, log } = this.#options;
    try {
      await systemTransaction(db, (tx) => appendAuditEvent(tx, act)).catch((error: unknown) => {
        if (!isNoCarrier(error)) throw error;
        const platforms = { ...act, carrierId: undefined };
        return systemTransaction(db, (tx) => appendAuditEvent(tx, platforms));
      });
    } catch (error) {
      const { method, actor, errorReason } = act;
      log.error({ err: error, method, actor, errorReason }, "an act that was refused is not in the audit log");
    }
  }
}

// A carrier that does not exist has no chain.
function isNoCarrier(error: unknown): boolean {
  return error instanceof TandemError && error.reason === "CARRIER_NOT_FOUND";
}

function outcomeOf({ errorReason }: Pick<AuditAct, "errorReason">): AuditOutcome {
  switch (errorReason) {
    case "INTERNAL":
    case "STORE_UNAVAILABLE":
    case "DEADLINE_EXCEEDED":
      return AuditOutcome.FAILED;
    default:
      return AuditOutcome.REFUSED;
  }
}
