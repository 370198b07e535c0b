import { type Context, context, type Span, SpanKind, SpanStatusCode, type Tracer, trace } from "@opentelemetry/api";
import { FEED_NAMES } from "../domain/feed-id.ts";
import type { RecordKind } from "../domain/record-kind.ts";
import { Verdict } from "../gen/tandem/type/v1/upload_pb.js";
import type { AppendOutcome } from "./append.ts";
import type { AppendResult, PreparedBatch } from "./pending.ts";

/** The span of one batch, from when it was checked until it is committed, in its call's trace. */
export class BatchTrace {
  readonly #tracer: Tracer;
  readonly #span: Span;
  readonly #context: Context;
  #transaction: { readonly span: Span; readonly context: Context } | undefined;

  constructor(
    tracer: Tracer,
    { carrierId, kind, batch }: { carrierId: string; kind: RecordKind; batch: PreparedBatch },
  ) {
    this.#tracer = tracer;
    this.#span = tracer.startSpan("tandem.upload.batch", {
      attributes: {
        "tandem.carrier": carrierId,
        "tandem.feed": FEED_NAMES[kind.feed],
        "tandem.upload.first_offset": Number(batch.firstOffset),
        "tandem.upload.records": batch.records.length,
      },
    });
    this.#context = trace.setSpan(context.active(), this.#span);
  }

  /** The transaction begins that stores the batch, together with others. */
  begin(batches: number): void {
    const options = { attributes: { "tandem.upload.batches": batches } };
    const span = this.#tracer.startSpan("tandem.upload.transaction", options, this.#context);
    this.#transaction = { span, context: trace.setSpan(this.#context, span) };
  }

  /** The span of its COMMIT. */
  startCommit(): Span {
    const attributes = { "db.system.name": "postgresql", "db.operation.name": "COMMIT" };
    const options = { kind: SpanKind.CLIENT, attributes };
    return this.#tracer.startSpan("COMMIT", options, this.#transaction?.context ?? this.#context);
  }

  /**
   * It is committed, or its upload had moved on.
   * @param range the first and last sequence that its records got; undefined: they got none.
   */
  committed({ committed }: AppendResult, range: readonly [first: number, last: number] | undefined): void {
    this.#transaction?.span.end();
    if (range) {
      this.#span.setAttribute("tandem.feed.first_sequence", range[0]);
      this.#span.setAttribute("tandem.feed.last_sequence", range[1]);
    }
    this.#span.setAttribute("tandem.upload.committed", committed);
    this.#span.end();
  }

  /** The transaction failed. The batch may be tried again. */
  rolledBack(): void {
    endFailed(this.#transaction?.span);
  }

  /** It is not tried any more. */
  failed(): void {
    endFailed(this.#span);
  }
}

/** The traces of batches that share a transaction. */
export class CommitTraces {
  readonly #traces: readonly (BatchTrace | undefined)[];

  constructor(group: readonly { readonly trace: BatchTrace | undefined }[]) {
    this.#traces = group.map((pending) => pending.trace);
    for (const each of this.#traces) each?.begin(group.length);
  }

  readonly aroundCommit = async (commit: () => Promise<void>): Promise<void> => {
    const spans = this.#traces.flatMap((each) => each?.startCommit() ?? []);
    try {
      await commit();
    } catch (error) {
      for (const span of spans) span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      for (const span of spans) span.end();
    }
  };

  // Accepted records get their sequences in the order of the batches.
  committed({ results, appended, headSequence }: AppendOutcome): void {
    let next = Number(headSequence) - appended + 1;
    for (const [index, result] of results.entries()) {
      const accepted = result.committed ? countAccepted(result.verdicts) : 0;
      this.#traces[index]?.committed(result, accepted > 0 ? [next, next + accepted - 1] : undefined);
      next += accepted;
    }
  }

  rolledBack(): void {
    for (const each of this.#traces) each?.rolledBack();
  }
}

function endFailed(span: Span | undefined): void {
  span?.setStatus({ code: SpanStatusCode.ERROR });
  span?.end();
}

function countAccepted(verdicts: readonly Verdict[]): number {
  return verdicts.filter((verdict) => verdict === Verdict.ACCEPTED).length;
}
