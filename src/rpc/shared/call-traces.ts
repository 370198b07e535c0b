import { type Code, createContextKey, type HandlerContext, type Interceptor } from "@connectrpc/connect";
import {
  type Attributes,
  type Context,
  context,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import type { Principal } from "../../domain/carriers/principal.ts";
import { startLinked, type Tracing } from "../../telemetry/tracing.ts";
import { errorTypeOf, isLongLived, methodNameOf, statusNameOf, systemNameOf } from "./rpc-names.ts";

const traceKey = createContextKey<CallTrace | undefined>(undefined, { description: "trace" });

/**
 * Begins the span of a call, in its caller's trace if it names one. The span ends with the call. Of
 * a stream that lives on it is the opening only, and ends with the first message: a span is sent
 * when it ends.
 */
export function traceCall(tracing: Tracing, call: HandlerContext): CallTrace {
  const begun = new CallTrace(tracing, call);
  call.values.set(traceKey, begun);
  return begun;
}

/**
 * Runs calls in the context of their spans. Messages are pulled after the handler has returned, so
 * each pull runs in that context too.
 */
export const traceInterceptor: Interceptor = (next) => async (request) => {
  const call = request.contextValues.get(traceKey);
  if (!call) return next(request);
  const response = await context.with(call.context, () => next(request));
  return response.stream ? { ...response, message: call.pulled(response.message) } : response;
};

/** One call's trace. */
export class CallTrace {
  readonly context: Context;
  readonly #tracer: Tracer;
  readonly #span: Span;
  readonly #name: string;
  readonly #attributes: Attributes;
  readonly #isLongLived: boolean;
  #isOpened = false;

  constructor({ tracer, parentOf }: Tracing, call: HandlerContext) {
    this.#tracer = tracer;
    this.#name = methodNameOf(call);
    this.#attributes = { "rpc.system.name": systemNameOf(call), "rpc.method": this.#name };
    this.#isLongLived = isLongLived(call.method);
    const options = { kind: SpanKind.SERVER, attributes: this.#attributes };
    const parent = parentOf(call.requestHeader);
    this.#span = tracer.startSpan(this.#name, options, parent);
    this.context = trace.setSpan(parent, this.#span);
  }

  /** Says which carrier calls, if one does. */
  identify(principal: Principal): void {
    if (principal.kind === "carrier") this.#span.setAttribute("tandem.carrier", principal.carrierId);
  }

  /** The messages, each pulled in the call's context. */
  pulled<Message>(messages: AsyncIterable<Message>): AsyncIterable<Message> {
    const open = () => this.#opened();
    const inCall = <T>(pull: () => T): T => context.with(this.context, pull);
    return {
      [Symbol.asyncIterator]() {
        const iterator = messages[Symbol.asyncIterator]();
        return {
          async next() {
            const next = await inCall(() => iterator.next());
            open();
            return next;
          },
          ...(iterator.return && { return: (value?: unknown) => inCall(() => iterator.return?.(value) as never) }),
          ...(iterator.throw && { throw: (error: unknown) => inCall(() => iterator.throw?.(error) as never) }),
        };
      },
    };
  }

  /** The call has ended: with a status, or in order. */
  end(code: Code | undefined): void {
    if (this.#isLongLived && this.#isOpened) {
      const options = { attributes: this.#attributes };
      const closing = context.with(this.context, () => startLinked(this.#tracer, `${this.#name} end`, options));
      finish(closing, code);
    } else finish(this.#span, code);
  }

  #opened(): void {
    if (!this.#isLongLived || this.#isOpened) return;
    this.#isOpened = true;
    finish(this.#span, undefined);
  }
}

function finish(span: Span, code: Code | undefined): void {
  span.setAttribute("rpc.status_code", statusNameOf(code));
  const errorType = errorTypeOf(code);
  if (errorType !== undefined) {
    span.setAttribute("error.type", errorType);
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
  span.end();
}
