import { setTimeout as wait } from "node:timers/promises";
import type { Logger } from "pino";
import type { Principal } from "../../../domain/carriers/principal.ts";
import { TandemError } from "../../../domain/errors.ts";
import type { AuditAct } from "../../../domain/privacy/audit.ts";
import { auditedRequestId } from "../../../domain/privacy/audited-request-id.ts";
import { AuditOutcome } from "../../../gen/tandem/platform/v1/audit_event_pb.js";
import { appendAuditEvent } from "../../../store/audit/audit-log.ts";
import { outlivingCall } from "../../../store/database/callers.ts";
import { type Database, systemTransaction } from "../../../store/database/database.ts";
import { callerKeyOf } from "../access/principal-limits.ts";
import { RefusalBudget } from "./refusal-budget.ts";

/** How long an answer is held back until its refusal is written, milliseconds. */
const MAX_WAIT_MS = 1_000;
/** How often what was not written is summed up, milliseconds. */
const SUM_INTERVAL_MS = 3_600_000;
/** Most callers whose sums get an event of their own. */
const MAX_SUMS = 1_000;
/** Stands for the method in an event that sums up. */
const SUM_METHOD = "tandem/refusals-not-written";

export interface RefusalLogOptions {
  readonly db: Database;
  readonly log: Logger;
  /** The installation's secret. */
  readonly secret: Buffer;
  readonly budget?: RefusalBudget;
  readonly sumIntervalMs?: number;
}

/** An act that was not done, with its request_id as it was sent, and by whom. */
export interface RefusedAct {
  readonly act: Omit<AuditAct, "outcome" | "requestId"> & { readonly requestId?: string | undefined };
  readonly principal: Principal;
}

/**
 * Writes administrative acts that were refused or that failed, in a transaction of their own, since
 * the act's own transaction is rolled back. The number is limited, and an answer never depends on
 * it: what cannot be written is logged. Each caller has a share; what exceeds it is summed up in
 * one event for each caller and hour, in the caller's own chain, and in the log. Disposing writes
 * the remaining sums and waits for what is being written.
 */
export class RefusalLog implements AsyncDisposable {
  readonly #options: RefusalLogOptions;
  readonly #budget: RefusalBudget;
  readonly #writing = new Set<Promise<void>>();
  /** The principals of callers with something to sum up. */
  readonly #callers = new Map<string, Principal>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: RefusalLogOptions) {
    this.#options = options;
    this.#budget = options.budget ?? new RefusalBudget();
    const sumUp = () => void this.#track(this.#sumUp());
    this.#timer = setInterval(sumUp, options.sumIntervalMs ?? SUM_INTERVAL_MS).unref();
  }

  /** Writes an act that was not done. Waits for the commit, but not long, and never throws. */
  async record({ act, principal }: RefusedAct): Promise<void> {
    const caller = callerKeyOf(principal);
    const kind = JSON.stringify([caller, act.carrierId, act.actor, act.method, act.errorReason]);
    const allowed = this.#budget.take(caller, kind);
    if (!allowed) {
      this.#callers.set(caller, principal);
      return;
    }
    const { unwritten } = allowed;
    const details = { ...act.details, ...(unwritten === 0 ? {} : { unwritten_before: unwritten }) };
    const { requestId: sent } = act;
    const requestId = sent === undefined ? undefined : auditedRequestId(this.#options.secret, sent);
    const refused = { ...act, requestId, outcome: outcomeOf(act), details };
    const done = new AbortController();
    // A client that hangs up is recorded all the same.
    const writing = outlivingCall(() => this.#write(refused));
    const finished = this.#track(writing).finally(() => done.abort());
    await Promise.race([finished, wait(MAX_WAIT_MS, undefined, { signal: done.signal }).catch(() => {})]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#sumUp();
    await Promise.all(this.#writing);
  }

  #track(writing: Promise<void>): Promise<void> {
    this.#writing.add(writing);
    return writing.finally(() => this.#writing.delete(writing));
  }

  async #sumUp(): Promise<void> {
    const sums = this.#budget.takeSums();
    const callers = new Map(this.#callers);
    this.#callers.clear();
    if (sums.length === 0) return;
    const sum = sums.reduce((total, { unwritten }) => total + unwritten, 0);
    this.#options.log.warn({ refusals: sum, callers: sums.length }, "acts that were refused were only counted");
    for (const { caller, unwritten } of sums.toSorted((a, b) => b.unwritten - a.unwritten).slice(0, MAX_SUMS)) {
      await this.#write(sumOf(caller === undefined ? undefined : callers.get(caller), unwritten));
    }
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

// In the caller's chain; for callers that were forgotten, in the platform's.
function sumOf(principal: Principal | undefined, unwritten: number): AuditAct {
  return {
    carrierId: principal?.kind === "carrier" ? principal.carrierId : undefined,
    actor: principal?.identity ?? "",
    method: SUM_METHOD,
    resource: `refusals/${unwritten}`,
    outcome: AuditOutcome.REFUSED,
    details: { not_written: unwritten },
  };
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
