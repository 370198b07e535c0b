import { randomUUID } from "node:crypto";
import { create, type DescMethodUnary, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { type Connection, type ConnectionOptions, connect } from "./connection.ts";
import { type CsvColumn, printCsv } from "./csv-output.ts";
import { printMessage } from "./output.ts";
import { readPages } from "./pages.ts";

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

type Items<Method extends DescMethodUnary, Field extends string> =
  MessageShape<Method["output"]> extends Readonly<Record<Field, (infer Item)[]>> ? Item[] : never;

/**
 * Reads a list as the platform and prints it: with `--json` as one answer, with `--csv` as CSV,
 * else by `print`. Says so when `--limit` cuts it.
 * @param field of the answer that has the items.
 */
export async function listAndPrint<Method extends DescMethodUnary, const Field extends string>(
  options: ConnectionOptions & { readonly csv?: true; readonly limit?: number },
  method: Method,
  request: MessageInitShape<Method["input"]>,
  field: Field,
  as: {
    readonly print: (items: Items<Method, Field>) => void;
    readonly csv?: readonly CsvColumn<Items<Method, Field>[number]>[];
  },
): Promise<void> {
  using connection = await connect(options, "platform");
  type Page = Record<Field, Items<Method, Field>> & { nextPageToken: string };
  const { items, isCut } = await readPages(
    async (page) => (await call(connection, method, { ...(request as object), ...page } as never)) as unknown as Page,
    (page) => page[field],
    options.limit,
  );
  if (options.json) printMessage(method.output, create(method.output, { [field]: items }));
  else if (options.csv) printCsv(as.csv ?? [], items);
  else as.print(items as Items<Method, Field>);
  if (isCut) console.error(`There are more than ${options.limit}: see --limit`);
}

/** The id of a call that may be repeated: the given one, or a new one. */
export function requestIdOf({ requestId = randomUUID() }: { requestId?: string }): string {
  return requestId;
}
