import { randomUUID } from "node:crypto";
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type Message,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { type Connection, type ConnectionOptions, connect, type Role } from "./connection.ts";
import { type CsvColumn, messageColumns, printCsv } from "./csv-output.ts";
import type { Filled } from "./fields.ts";
import { formatCount, printMessage } from "./output.ts";
import { readPages } from "./pages.ts";
import { tellNowAndThen } from "./progress.ts";

/** A call that one side has; or that both have, alike but for what each may ask. */
type Methods<Method extends DescMethodUnary> = Method | readonly Method[];
type Request<Method extends DescMethodUnary> = MessageInitShape<Method["input"]>;
type Answer<Method extends DescMethodUnary> = MessageShape<Method["output"]>;

/** The options of a command that fill a call's request. */
export type Asking<Method extends DescMethodUnary> = ConnectionOptions & Filled<Method["input"]>;

/** Connects as a side that has the call. */
export function connectFor(options: ConnectionOptions, methods: Methods<DescMethodUnary>): Promise<Connection> {
  const [role = "platform", other] = [methods].flat().map(roleOf);
  return connect(options, other === undefined ? role : "either");
}

/** Makes a call by the method of the side that is connected. */
export async function ask<Method extends DescMethodUnary>(
  connection: Connection,
  methods: Methods<Method>,
  request: Request<Method>,
): Promise<Answer<Method>> {
  const method = methodOf(connection, methods);
  // A call that may be repeated has an id: the given one, or a new one.
  const asked = method.input.field["requestId"] ? { requestId: randomUUID(), ...(request as object) } : request;
  // Which service it is, is known only when it runs: so its methods are found by name.
  const client = connection.client(method.parent) as unknown as Record<string, (asked: unknown) => Promise<unknown>>;
  return (await client[method.localName]?.(asked)) as Answer<Method>;
}

/** Of one call's methods that of the side that is connected. */
export function methodOf<Method extends DescMethodUnary>({ role }: Connection, methods: Methods<Method>): Method {
  return ([methods].flat() as Method[]).find((each) => roleOf(each) === role) as Method;
}

function roleOf({ parent }: DescMethodUnary): Role {
  return parent.typeName.startsWith("tandem.carrier.") ? "carrier" : "platform";
}

/** Makes one call and prints its answer: as JSON with `--json`, else by `print`. */
export async function callAndPrint<Method extends DescMethodUnary>(
  options: ConnectionOptions,
  methods: Methods<Method>,
  request: Request<Method>,
  print: (answer: Answer<Method>) => void,
): Promise<void> {
  using connection = await connectFor(options, methods);
  const answer = await ask(connection, methods, request);
  printAnswer(options, methodOf(connection, methods).output as Method["output"], answer, () => print(answer));
}

/** Prints an answer: as JSON, as CSV with all that it has, or by `print`. */
export function printAnswer<Desc extends DescMessage>(
  { json, csv }: Pick<ConnectionOptions, "json" | "csv">,
  schema: Desc,
  answer: MessageInitShape<Desc>,
  print: () => void,
): void {
  if (json) printMessage(schema, answer);
  else if (csv) printAllAsCsv(schema, create(schema, answer));
  else print();
}

/** The rows are what a list of the answer has, else the one message in it, else itself. */
function printAllAsCsv(schema: DescMessage, answer: Message): void {
  const values = answer as unknown as Record<string, unknown>;
  const list = schema.fields.find(({ fieldKind, message }) => fieldKind === "list" && message !== undefined);
  if (list?.message) {
    printCsv(messageColumns(list.message), values[list.localName] as Message[]);
    return;
  }
  const [only, ...others] = schema.fields;
  const isWrapped = only?.fieldKind === "message" && others.length === 0;
  const held = isWrapped ? (values[only.localName] as Message | undefined) : answer;
  printCsv(messageColumns(isWrapped ? only.message : schema), held === undefined ? [] : [held]);
}

type Items<Method extends DescMethodUnary, Field extends string> =
  Answer<Method> extends Readonly<Record<Field, (infer Item)[]>> ? Item[] : never;

/** How a list is printed. */
interface ListFormats<Method extends DescMethodUnary, Field extends string> {
  readonly print: (items: Items<Method, Field>, role: Role) => void;
  /** Default: all that an item has. */
  readonly csv?: readonly CsvColumn<Items<Method, Field>[number]>[];
  /** Says more of the whole list, whatever the format. */
  readonly after?: (answer: Answer<Method>) => void;
}

/**
 * Reads a list and prints it: with `--json` as one answer, with `--csv` as CSV, else by `print`.
 * Says so when `--limit` cuts it.
 * @param field of the answer that has the items.
 */
export async function listAndPrint<Method extends DescMethodUnary, const Field extends string>(
  options: ConnectionOptions & { readonly limit?: number },
  methods: Methods<Method>,
  request: Request<Method> | ((role: Role) => Request<Method>),
  field: Field,
  { print, csv, after }: ListFormats<Method, Field>,
): Promise<void> {
  using connection = await connectFor(options, methods);
  const { role } = connection;
  const asked = typeof request === "function" ? request(role) : request;
  const { answer, isCut } = await readList(connection, methods, asked, field, options.limit);
  const items = (answer as Record<Field, Items<Method, Field>>)[field];
  if (options.csv && csv) printCsv(csv, items);
  else
    printAnswer(options, methodOf(connection, methods).output, { ...answer, nextPageToken: "" }, () =>
      print(items, role),
    );
  if (isCut) console.error(`There are more than ${options.limit}: see --limit`);
  after?.(answer);
}

/** Reads a list into one answer: the lists of its pages joined, and what else the last one says. */
export async function readList<Method extends DescMethodUnary>(
  connection: Connection,
  methods: Methods<Method>,
  request: Request<Method>,
  field: string,
  limit?: number,
): Promise<{ answer: Answer<Method>; isCut: boolean }> {
  type Page = Record<string, unknown[]> & { nextPageToken: string };
  const pages: Page[] = [];
  const countRead = () => pages.reduce((sum, page) => sum + (page[field]?.length ?? 0), 0);
  const tell = tellNowAndThen(() => `${formatCount(countRead())} read`);
  const { isCut } = await readPages(
    async (page) => {
      // Every list has the fields of a page, which no type of a method says.
      const asked = { ...(request as object), ...page } as unknown as Request<Method>;
      const read = (await ask(connection, methods, asked)) as unknown as Page;
      pages.push(read);
      if (process.stderr.isTTY === true) tell(undefined);
      return read;
    },
    (page) => page[field] ?? [],
    limit,
  );
  const answer = { ...pages.at(-1) } as Page;
  for (const { fieldKind, localName } of methodOf(connection, methods).output.fields)
    if (fieldKind === "list") answer[localName] = pages.flatMap((page) => page[localName] ?? []);
  return { answer: answer as unknown as Answer<Method>, isCut };
}
