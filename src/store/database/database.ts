import type { Socket } from "node:net";
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import { TandemError } from "../../domain/errors.ts";
import { Pulse } from "../../domain/pulse.ts";
import { asOwn, type Caller, currentCaller, outsideCalls } from "./callers.ts";
import { Lanes } from "./lanes.ts";
import { type Tx, together, txOf } from "./run.ts";
import { SeenHeads } from "./seen-heads.ts";
import { readSnapshot, TIMELINE_SQL } from "./timeline.ts";
import { getTypeParser } from "./type-parsers.ts";

/** A connection pool to Tandem's database. Dispose it to close every connection. */
export interface Database extends AsyncDisposable {
  readonly kysely: Kysely<unknown>;
  readonly pool: pg.Pool;
  /** Who may take how many of the pool's connections. */
  readonly lanes: Lanes;
  /** What this process has seen committed of each feed. */
  readonly heads: SeenHeads;
  /** Tells that something was written, by whichever process. */
  readonly pulse: Pulse;
  /** Whether the server's commits can wait for a standby, as the newest transaction found. */
  readonly server: { isReplicated: boolean };
  /** synchronous_commit of every write. */
  readonly commitMode: string;
  /** Lets connections be silent, until disposed: for work without statement_timeout. */
  waitWithoutLimit(): Disposable;
  /** From the next connection on, another URL: the server moved to another port. */
  connectTo(url: string): void;
}

export interface TransactionOptions {
  /** Longest that one statement may take, milliseconds. Default 5,000. */
  statementTimeoutMs?: number;
  /** Longest pause between two statements, milliseconds. Default 5,000. */
  idleTimeoutMs?: number;
  /** Read everything from one snapshot: REPEATABLE READ, READ ONLY. Default false. */
  snapshot?: boolean;
  /**
   * Look rows up by index, whatever the statistics say: a plan made for an empty partition must not
   * scan it once it is full. Default true, but false for the owner's transactions.
   */
  byIndexOnly?: boolean;
  /** Read in the order of an index, and sort no table's rows. Default false. */
  inOrder?: boolean;
  /** Runs COMMIT, to see how long it takes. Default: it is run as it is. */
  aroundCommit?: (commit: () => Promise<void>) => Promise<void>;
}

/** How a page of a list is read: in the order of an index, and from one snapshot. */
export const LIST_PAGE = { snapshot: true, inOrder: true } as const satisfies TransactionOptions;

export interface DatabaseOptions {
  url: string;
  /** Most connections of this process. Default 10. */
  maxConnections?: number;
  /** Most that wait for a connection for one caller. Default 1,000. */
  maxWaiting?: number;
  /** synchronous_commit of every write; "off" only for tests. Default "on". */
  synchronousCommit?: "on" | "off" | "remote_apply";
  /**
   * How long a connection in use may be silent, milliseconds: its server or network may be gone.
   * Longer than any statement may take. Default 90,000.
   */
  silenceMs?: number;
  /** Told of errors on idle connections; they are replaced. */
  onIdleError?: (error: Error) => void;
}

/** Opens a pool. Nothing is connected until the first transaction. */
export function openDatabase(options: DatabaseOptions): Database {
  const connections = options.maxConnections ?? 10;
  const pool = new pg.Pool({
    connectionString: options.url,
    max: connections,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    application_name: "tandem",
    types: { getTypeParser },
    // A statement goes out when it is made, and not when the one before it is answered: see `run`.
    pipeline: true,
  });
  pool.on("error", (error) => options.onIdleError?.(error));
  // A connection that breaks between two statements emits an error, which would end the process
  // without a listener. The next statement fails because of it.
  pool.on("connect", (client) => client.on("error", () => {}));
  const waitWithoutLimit = limitSilence(pool, options.silenceMs ?? 90_000);
  const kysely = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  const db: Database = {
    kysely,
    pool,
    lanes: new Lanes({ connections, ...(options.maxWaiting !== undefined && { maxWaiting: options.maxWaiting }) }),
    heads: new SeenHeads(),
    pulse: new Pulse(() => asOwn("health", () => systemTransaction(db, readStateOf))),
    server: { isReplicated: false },
    commitMode: options.synchronousCommit ?? "on",
    waitWithoutLimit,
    connectTo: (url) => {
      pool.options.connectionString = url;
    },
    async [Symbol.asyncDispose]() {
      await kysely.destroy();
    },
  };
  return db;
}

async function readStateOf(tx: Tx): Promise<string | undefined> {
  const snapshot = await readSnapshot(tx);
  return snapshot && `${contexts.get(tx)?.timeline} ${snapshot}`;
}

// statement_timeout is the server's: it does nothing once the server, or the way to it, is gone.
function limitSilence(pool: pg.Pool, silenceMs: number): () => Disposable {
  let exemptions = 0;
  pool.on("connect", (client) => {
    const socket = socketOf(client);
    socket.on("timeout", () => socket.destroy(new Error("Connection terminated: the database fell silent")));
  });
  pool.on("acquire", (client) => void socketOf(client).setTimeout(exemptions > 0 ? 0 : silenceMs));
  pool.on("release", (_, client) => void socketOf(client).setTimeout(0));
  return () => {
    exemptions++;
    return { [Symbol.dispose]: () => void exemptions-- };
  };
}

function socketOf(client: pg.PoolClient): Socket {
  return (client as unknown as { connection: { stream: Socket } }).connection.stream;
}

type Work<T> = (tx: Tx) => Promise<T>;

/** Runs a transaction that sees and writes one carrier's rows only. */
export function carrierTransaction<T>(
  db: Database,
  carrierId: string,
  work: Work<T>,
  options: TransactionOptions = {},
): Promise<T> {
  return transaction(db, "tandem_carrier", carrierId, work, options);
}

/** Runs a transaction that sees every carrier's rows, for the platform's methods and the jobs. */
export function systemTransaction<T>(db: Database, work: Work<T>, options: TransactionOptions = {}): Promise<T> {
  return transaction(db, "tandem_system", "", work, options);
}

/** Runs a transaction with the connection's own rights: migrations, partitions, start-up checks. */
export function ownerTransaction<T>(db: Database, work: Work<T>, options: TransactionOptions = {}): Promise<T> {
  return transaction(db, "none", "", work, options);
}

/** Lends a connection outside any transaction, for the few statements that allow none. */
export async function withConnection<T>(db: Database, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  using _place = await db.lanes.take(currentCaller() ?? NOBODY);
  const client = await connect(db);
  let broken: Error | undefined;
  try {
    return await work(client);
  } catch (error) {
    // Its session settings may still be in force.
    broken = error as Error;
    throw error;
  } finally {
    client.release(broken);
  }
}

/** Whether an error is PostgreSQL's, with one of these SQLSTATEs or classes (two characters). */
export function isSqlState(error: unknown, ...states: string[]): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return (
    typeof code === "string" && states.some((state) => code === state || (state.length === 2 && code.startsWith(state)))
  );
}

/**
 * Whether a failure is the connection's, the server's or a lock's, so the same work may succeed
 * later. Class 08 connection, 53 resources, 57 operator intervention, 58 system; 40 rollback; 55P03
 * lock timeout; 25P03 idle in transaction; 25006 a standby. Of our own errors those of a wait for a
 * connection.
 */
export function isTransient(error: unknown): boolean {
  if (error instanceof TandemError) return error.reason === "STORE_UNAVAILABLE" || error.reason === "RATE_LIMITED";
  if (isSqlState(error, "08", "53", "57", "58", "40", "55P03", "25P03", "25006")) return true;
  if (isSqlState(error, "ECONNREFUSED", "ECONNRESET", "EPIPE", "ETIMEDOUT", "ENOENT")) return true;
  const message = error instanceof Error ? error.message : "";
  return /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|not queryable/i.test(
    message,
  );
}

/** Whether a text had a character that no table holds: NUL. Only a request can bring one. */
export function isUnstorableText(error: unknown): boolean {
  return isSqlState(error, "22021");
}

/** How often a transaction that failed on 40001 or 40P01 is run again. */
const MAX_RETRIES = 5;

type Role = "tandem_carrier" | "tandem_system" | "none";

async function transaction<T>(
  db: Database,
  role: Role,
  carrierId: string,
  work: Work<T>,
  options: TransactionOptions,
): Promise<T> {
  const beginning = beginningOf(role, carrierId, db, options);
  const caller = currentCaller() ?? (role === "tandem_carrier" ? { kind: "carrier" as const, carrierId } : NOBODY);
  for (let attempt = 0; ; attempt++) {
    try {
      return await runOnce(db, caller, beginning, work, options.aroundCommit);
    } catch (error) {
      if (attempt >= MAX_RETRIES || !isSqlState(error, "40001", "40P01")) throw error;
    }
  }
}

const NOBODY: Caller = { kind: "jobs" };

async function runOnce<T>(
  db: Database,
  caller: Caller,
  beginning: string,
  work: Work<T>,
  around: TransactionOptions["aroundCommit"],
): Promise<T> {
  using _place = await db.lanes.take(caller);
  const client = await connect(db);
  let broken: Error | undefined;
  const tx = txOf(client);
  const context: TxContext = { heads: db.heads, timeline: undefined, onCommit: [] };
  contexts.set(tx, context);
  // The work's first statement does not wait for this answer. It cannot run outside of the
  // transaction or without its role: PostgreSQL can read any beginning, so BEGIN is carried out. A
  // transaction whose settings fail refuses what comes after them.
  const begun = client.query(beginning).then((answers) => {
    const [
      ,
      {
        rows: [row],
      },
    ] = answers as unknown as [unknown, pg.QueryResult<BeginRow>];
    db.server.isReplicated = row?.is_replicated ?? false;
    context.timeline = row?.timeline ?? undefined;
  });
  try {
    const worked = (async () => work(tx))();
    const [, result] = await together([begun, worked]);
    await (around ? around(() => commit(db, client)) : commit(db, client));
    for (const act of context.onCommit) act();
    return result;
  } catch (error) {
    await client.query("ROLLBACK").catch((cause: Error) => {
      broken = cause;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}

interface BeginRow {
  readonly is_replicated: boolean;
  readonly timeline?: bigint | null;
}

async function commit({ commitMode }: Database, client: pg.PoolClient): Promise<void> {
  let warning: string | undefined;
  const hear = ({ code, message }: { code: string | undefined; message: string | undefined }) => {
    if (code?.startsWith("01")) warning = message;
  };
  client.on("notice", hear);
  try {
    const { command } = await client.query("COMMIT");
    // PostgreSQL's answer to COMMIT if a statement failed.
    if (command === "ROLLBACK")
      throw new Error("a statement of the transaction failed and the transaction was rolled back");
  } finally {
    client.off("notice", hear);
  }
  // If a wait for a standby takes too long, COMMIT succeeds here only, with a warning.
  if (warning === undefined || commitMode !== "remote_apply") return;
  throw new TandemError("STORE_UNAVAILABLE", `the commit did not reach a replica in time: ${warning}`);
}

// A connection lives for longer than the call that happened to open it.
function connect({ pool }: Database): Promise<pg.PoolClient> {
  return outsideCalls(() => pool.connect());
}

/** What a running transaction has besides its connection. */
interface TxContext {
  readonly heads: SeenHeads;
  /** Which timeline its server writes; undefined where that is not known. */
  timeline: bigint | undefined;
  readonly onCommit: (() => void)[];
}

const contexts = new WeakMap<Tx, TxContext>();

/** What this process saw committed of each feed, and the transaction's timeline. */
export function seenHeadsOf(tx: Tx): { heads: SeenHeads; timeline: bigint } | undefined {
  const { heads, timeline } = contexts.get(tx) ?? {};
  return heads && timeline !== undefined ? { heads, timeline } : undefined;
}

/** Acts once the transaction has committed. */
export function onCommit(tx: Tx, act: () => void): void {
  contexts.get(tx)?.onCommit.push(act);
}

/** What a carrier's id may consist of, and no text that PostgreSQL cannot read. */
const READABLE = /^[\w.-]*$/;

// One message. Everything is LOCAL, so a pooled connection carries nothing over (PgBouncer).
function beginningOf(
  role: Role,
  carrierId: string,
  { commitMode, heads }: Database,
  options: TransactionOptions,
): string {
  if (!READABLE.test(carrierId)) throw new TandemError("CARRIER_NOT_FOUND", "no carrier has such an id");
  const settings: [string, string][] = [
    ["role", role],
    ["tandem.carrier_id", carrierId],
    ["statement_timeout", String(options.statementTimeoutMs ?? 5_000)],
    ["lock_timeout", "5000"],
    ["idle_in_transaction_session_timeout", String(options.idleTimeoutMs ?? 5_000)],
    ["synchronous_commit", commitMode],
    ["timezone", "UTC"],
    ["datestyle", "ISO, YMD"],
    ["bytea_output", "hex"],
  ];
  if (options.byIndexOnly ?? role !== "none") settings.push(["enable_seqscan", "off"], ["jit", "off"]);
  if (options.inOrder) settings.push(["enable_sort", "off"]);
  const calls = settings.map(([name, value]) => `set_config('${name}', ${pg.escapeLiteral(value)}, true)`).join(", ");
  // Asked for only once we know that we may.
  const timeline = heads.timeline === undefined ? "" : `, ${TIMELINE_SQL} AS timeline`;
  const told = `current_setting('synchronous_standby_names') <> '' AS is_replicated${timeline}`;
  const mode = options.snapshot ? "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" : "BEGIN";
  return `${mode}; SELECT ${calls}, ${told}`;
}
