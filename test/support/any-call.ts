import {
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  type Message,
  type MessageInitShape,
  toJsonString,
} from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { EVENTUALLY_MS } from "./limits.ts";

/** The request of any method; for a stream of requests, all of them. */
export type AnyRequest = MessageInitShape<DescMethod["input"]> | readonly MessageInitShape<DescMethod["input"]>[];

/** Everything that a client learns from one call. */
export interface CallOutcome {
  /** Every answer, as JSON. */
  readonly answers: readonly string[];
  /** The reason that it ended with; `OK` without an error. */
  readonly reason: string;
  /** All that is in the error. */
  readonly error?: unknown;
}

/** Calls any method, of whatever kind of streaming, and reads it to its end. */
export async function callAny(
  transport: Transport,
  method: DescMethod,
  request: AnyRequest,
  timeoutMs = EVENTUALLY_MS,
): Promise<CallOutcome> {
  const answers: string[] = [];
  const keep = (message: Message) => answers.push(toJsonString(method.output, message));
  try {
    if (method.methodKind === "unary") {
      keep(
        (
          await transport.unary(
            method as DescMethodUnary,
            undefined,
            timeoutMs,
            undefined,
            request as MessageInitShape<DescMethod["input"]>,
          )
        ).message,
      );
    } else {
      const requests = Array.isArray(request) ? request : [request];
      const { message: messages } = await transport.stream(
        method as DescMethodStreaming,
        undefined,
        timeoutMs,
        undefined,
        each(requests),
      );
      for await (const message of messages) keep(message);
    }
    return { answers, reason: "OK" };
  } catch (thrown) {
    const error = ConnectError.from(thrown);
    const [info] = error.findDetails(ErrorInfoSchema);
    const details = [ErrorInfoSchema, BadRequestSchema, RetryInfoSchema].flatMap((schema) =>
      error.findDetails(schema as typeof ErrorInfoSchema).map((detail) => toJsonString(schema, detail as never)),
    );
    return {
      answers,
      reason: info?.reason ?? `no reason: ${error.message}`,
      error: { code: Code[error.code], message: error.rawMessage, details },
    };
  }
}

async function* each<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values;
}
