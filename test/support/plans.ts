import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import pg from "pg";

const STORE = join(import.meta.dirname, "../../src/store");
const STATEMENT = /^\s*(?:DECLARE \w+ NO SCROLL CURSOR FOR\s+)?(?=SELECT|WITH|INSERT|UPDATE|DELETE|\()/i;

/** What one run of one statement cost, however it was carried out. */
export interface StatementCost {
  /** The statement, its parameters as `$1`. */
  readonly text: string;
  /** The functions of the store that made it: `file.ts/function`, the innermost first. */
  readonly by: readonly string[];
  readonly returned: number;
  /** Rows that all steps of the plan took up, also those that they threw away. */
  readonly rows: number;
  /** Pages that were looked at. */
  readonly pages: number;
  readonly plan: PlanNode;
}

export interface PlanNode {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Index Name"?: string;
  readonly "Actual Rows": number;
  readonly "Actual Loops": number;
  readonly "Shared Hit Blocks"?: number;
  readonly "Shared Read Blocks"?: number;
  readonly Plans?: readonly PlanNode[];
  readonly [more: string]: unknown;
}

/**
 * Explains every statement of the store that runs while it listens, with its own parameters, role
 * and settings, and lets it run. Make it before the first connection: what a connection was asked
 * before is not heard.
 */
export class PlanRecorder implements Disposable {
  #costs: StatementCost[] = [];
  #isListening = false;
  #about = "";
  #hearsAll = false;
  readonly #runs = new Map<string, number>();
  readonly #inTransaction = new WeakSet<pg.Client>();
  readonly #query = pg.Client.prototype.query;
  readonly #pending = new Set<Promise<unknown>>();

  constructor() {
    const recorder = this;
    const original = this.#query as (...args: unknown[]) => unknown;
    pg.Client.prototype.query = function query(this: pg.Client, ...args: unknown[]) {
      return recorder.#run(this, original, args);
    } as typeof pg.Client.prototype.query;
  }

  [Symbol.dispose](): void {
    pg.Client.prototype.query = this.#query;
  }

  /**
   * What the statements cost that run meanwhile.
   * @param about a parameter of the statements that count apart: whose rows are to be heard of.
   */
  async during(run: () => Promise<unknown>, about = ""): Promise<StatementCost[]> {
    this.#costs = [];
    this.#about = about;
    this.#runs.clear();
    this.#isListening = true;
    try {
      await run();
    } finally {
      this.#isListening = false;
      await Promise.allSettled(this.#pending);
    }
    return this.#costs;
  }

  /** What the statements cost that run within what is heard; every one of them. */
  async within(run: () => Promise<unknown>): Promise<StatementCost[]> {
    const from = this.#costs.length;
    this.#hearsAll = true;
    try {
      await run();
    } finally {
      this.#hearsAll = false;
      await Promise.allSettled(this.#pending);
    }
    return this.#costs.slice(from);
  }

  #run(client: pg.Client, original: (...args: unknown[]) => unknown, args: unknown[]): unknown {
    const [query, given] = args as [string | { text: string; values: unknown[] } | undefined, unknown?];
    const [text, values] = typeof query === "object" ? [query.text, query.values] : [query, given];
    const run = () => original.apply(client, args);
    if (typeof text !== "string") return run();
    if (/^BEGIN/.test(text)) this.#inTransaction.add(client);
    if (/^(COMMIT|ROLLBACK)$/.test(text)) this.#inTransaction.delete(client);
    if (!this.#isListening || !this.#inTransaction.has(client) || !STATEMENT.test(text)) return run();
    if (!this.#isDue(text, values) && !this.#hearsAll) return run();
    const by = callersInStore();
    if (by.length === 0) return run();
    // All go out at once, as the statement itself does, so that those of one transaction stay in
    // their order.
    const ask = (statement: string, parameters?: unknown) =>
      original.apply(
        client,
        parameters === undefined ? [statement] : [statement, parameters],
      ) as Promise<pg.QueryResult>;
    const answers = [
      ask("SAVEPOINT explained"),
      ask(`EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) ${text.replace(STATEMENT, "")}`, values),
      ask("ROLLBACK TO SAVEPOINT explained"),
      ask("RELEASE SAVEPOINT explained"),
    ] as const;
    const heard = Promise.allSettled(answers).then(([, explained]) => {
      if (explained.status === "fulfilled") this.#add(text, by, explained.value);
    });
    this.#pending.add(heard);
    void heard.finally(() => this.#pending.delete(heard));
    return run();
  }

  // The first four runs of a statement, the eighth and so on: of a thousand pages the last ones
  // count as the first do.
  #isDue(text: string, values: unknown): boolean {
    const key = Array.isArray(values) && values.includes(this.#about) ? `${this.#about} ${text}` : text;
    const runs = (this.#runs.get(key) ?? 0) + 1;
    this.#runs.set(key, runs);
    return runs < 4 || (runs & (runs - 1)) === 0;
  }

  #add(text: string, by: readonly string[], { rows }: pg.QueryResult): void {
    const plan = (rows[0]?.["QUERY PLAN"] as [{ Plan: PlanNode }] | undefined)?.[0].Plan;
    if (!plan) return;
    this.#costs.push({
      text,
      by,
      plan,
      returned: plan["Actual Rows"],
      rows: rowsOf(plan),
      pages: (plan["Shared Hit Blocks"] ?? 0) + (plan["Shared Read Blocks"] ?? 0),
    });
  }
}

// An index's entries of rows that were deleted a moment ago count in its bitmap, until a vacuum
// takes them: the heap above it counts the rows that there are. But of two that are held against
// each other the heap has what is in both: there each counts what it read.
function rowsOf(node: PlanNode, above = ""): number {
  if (node["Node Type"] === "Bitmap Index Scan" && above !== "BitmapAnd") return 0;
  const removed = Object.entries(node)
    .filter(([name]) => name.startsWith("Rows Removed by "))
    .reduce((sum, [, count]) => sum + Number(count), 0);
  const own = node["Actual Loops"] * (node["Actual Rows"] + removed);
  return (node.Plans ?? []).reduce((sum, child) => sum + rowsOf(child, node["Node Type"]), own);
}

/**
 * Whether a plan takes the first rows of a table that it has sorted: it has read all that it takes
 * them from.
 */
export function isSortedPage(node: PlanNode, above = ""): boolean {
  const type = node["Node Type"];
  if (type === "Sort" && above === "Limit" && readsTable(node)) return true;
  const passes = type === "Result" || type === "WindowAgg" || type === "Subquery Scan";
  return (node.Plans ?? []).some((child) => isSortedPage(child, passes ? above : type));
}

function readsTable(node: PlanNode): boolean {
  return node["Relation Name"] !== undefined || (node.Plans ?? []).some(readsTable);
}

/** A plan in few words, for the message of a failure. */
export function sketch(node: PlanNode, depth = 0): string {
  const { "Relation Name": relation, "Index Name": index, "Actual Rows": rows, "Actual Loops": loops } = node;
  if (loops === 0 || rowsOf(node) === 0) return "";
  const conditions = Object.entries(node)
    .filter(([name]) => /Cond$|Filter|Removed/.test(name))
    .map(([name, value]) => `${name}: ${String(value).slice(0, 160)}`);
  const own = [node["Node Type"], relation, index, `${rows} x ${loops}`, ...conditions].filter(Boolean).join(" | ");
  return [`${"  ".repeat(depth)}${own}`, ...(node.Plans ?? []).map((child) => sketch(child, depth + 1))]
    .filter((line) => line !== "")
    .join("\n");
}

function callersInStore(): string[] {
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = 60;
  const stack = new Error("a statement").stack ?? "";
  Error.stackTraceLimit = before;
  return stack.split("\n").flatMap((line) => {
    const match = /at (?:async )?(?:\w+\.)?([\w#]+).*src\/store\/(?:[\w-]+\/)*([\w-]+\.ts)/.exec(line);
    return match && match[2] !== "database.ts" && match[2] !== "run.ts" ? [`${match[2]}/${match[1]}`] : [];
  });
}

/** Every function of the store that sends a statement: `file.ts/function`. */
export function listSenders(): Set<string> {
  const senders = new Set<string>();
  for (const path of readdirSync(STORE, { encoding: "utf8", recursive: true })) {
    if (!path.endsWith(".ts") || path.endsWith(".test.ts") || path.startsWith("migrations/")) continue;
    let within = "";
    for (const line of readFileSync(join(STORE, path), "utf8").split("\n")) {
      within = /^(?:export )?(?:async )?function\*? (\w+)/.exec(line)?.[1] ?? within;
      if (/\b(?:run|readRows?|readColumn|readValue)\(tx[,)]/.test(line) && within)
        senders.add(`${basename(path)}/${within}`);
    }
  }
  return senders;
}
