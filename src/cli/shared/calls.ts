import { randomUUID } from "node:crypto";
import type { DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { type Connection, type ConnectionOptions, connect } from "./connection.ts";
import { printMessage } from "./output.ts";

/** Makes a call by its method. */
export function call<Method extends DescMethodUnary>(
  connection: Connection,
  method: Method,
  request: MessageInitShape<Method["input"]>,
): Promise<MessageShape<Method["output"]>> {
  const client = connection.client(method.parent) as unknown as Record<string, (asked: unknown) => Promise<unknown>>;
  return client[method.localName]?.(request) as Promise<MessageShape<Method["output"]>>;
}

/** Makes one call as the platform and prints its answer: as JSON with `--json`, else by `print`. */
export async function callAndPrint<Method extends DescMethodUnary>(
  options: ConnectionOptions,
  method: Method,
  request: MessageInitShape<Method["input"]>,
  print: (answer: MessageShape<Method["output"]>) => void,
): Promise<void> {
  using connection = await connect(options, "platform");
  const answer = await call(connection, method, request);
  if (options.json) printMessage(method.output as Method["output"], answer);
  else print(answer);
}

/** The id of a call that may be repeated: the given one, or a new one. */
export function requestIdOf({ requestId = randomUUID() }: { requestId?: string }): string {
  return requestId;
}
