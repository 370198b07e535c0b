import { readFile } from "node:fs/promises";
import { createClient } from "@connectrpc/connect";
import { sql } from "kysely";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readSchemaText } from "../../scripts/schema-text.ts";
import { AuditOutcome } from "../../src/gen/tandem/platform/v1/audit_event_pb.js";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
import { appendAuditEvent } from "../../src/store/audit/audit-log.ts";
import {
  carrierTransaction,
  type Database,
  isSqlState,
  openDatabase,
  ownerTransaction,
  systemTransaction,
} from "../../src/store/database/database.ts";
import { migrate } from "../../src/store/database/migrate.ts";
import { verifyAuditChain } from "../../src/store/verify/verify-audit.ts";
import { addCarrier } from "../support/carriers.ts";
import { createTestDatabase } from "../support/database.ts";
import { startExchange } from "../support/exchange.ts";

// Rows of other carriers are in row-level-security.test.ts, table by table and column by column.

const ROLES = ["tandem_carrier", "tandem_system"] as const;
/** PostgreSQL's insufficient_privilege. */
const FORBIDDEN = "42501";

const resources = new AsyncDisposableStack();
let db: Database;
let tables: string[];

beforeAll(async () => {
  db = resources.use(openDatabase({ url: resources.use(await createTestDatabase()).url }));
  await migrate(db);
  await addCarrier(db, "acme");
  await systemTransaction(db, (tx) => appendAuditEvent(tx, ACT));
  await systemTransaction(db, (tx) => appendAuditEvent(tx, ACT));
  const { rows } = await db.pool.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_class c
     WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = current_schema()::regnamespace ORDER BY 1`,
  );
  tables = rows.map(({ name }) => name);
});
afterAll(() => resources.disposeAsync());

const ACT = {
  carrierId: "acme",
  actor: "test",
  method: "test/act",
  resource: "thing/1",
  outcome: AuditOutcome.DONE,
  details: {},
};

describe.each(ROLES)("Confidentiality: %s", (role) => {
  test("can alter no schema: nothing is created, altered, dropped, emptied or granted", async () => {
    const before = await readSchemaText(db.pool);
    const ofEachTable = tables.flatMap((name) => [
      `TRUNCATE ${name}`,
      `DROP TABLE ${name}`,
      `ALTER TABLE ${name} ADD COLUMN mine int`,
      `ALTER TABLE ${name} DISABLE ROW LEVEL SECURITY`,
      `ALTER TABLE ${name} RENAME TO mine`,
      `ALTER TABLE ${name} OWNER TO CURRENT_USER`,
      `CREATE POLICY mine ON ${name} USING (true)`,
      `CREATE INDEX mine ON ${name} ((1))`,
      `CREATE RULE mine AS ON INSERT TO ${name} DO NOTHING`,
      `CREATE TRIGGER mine BEFORE INSERT ON ${name} EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
      `COMMENT ON TABLE ${name} IS 'mine'`,
      `GRANT SELECT ON ${name} TO PUBLIC`,
    ]);
    const ofTheWhole = [
      "CREATE TABLE mine (a int)",
      "CREATE TEMPORARY TABLE mine (a int)",
      "CREATE VIEW mine AS SELECT 1",
      "CREATE SEQUENCE mine",
      "CREATE TYPE mine AS (a int)",
      "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
      "CREATE SCHEMA mine",
      "CREATE EXTENSION pgcrypto",
      "CREATE ROLE mine",
      `ALTER ROLE ${role} BYPASSRLS`,
      "GRANT pg_read_all_data TO CURRENT_USER",
      "COPY (SELECT 1) TO PROGRAM 'true'",
      "COPY (SELECT 1) TO '/tmp/mine'",
      "SELECT pg_read_file('PG_VERSION')",
      "SELECT lo_import('/etc/hostname')",
      "SET session_replication_role = replica",
    ];
    const allowed: string[] = [];
    for (const statement of [...ofEachTable, ...ofTheWhole])
      if (!(await tryAs(role, statement))) allowed.push(statement);
    expect(allowed).toEqual([]);
    expect(await readSchemaText(db.pool)).toBe(before);
  });

  test("can change and remove no audit event, nor say that a chain begins later or ends earlier", async () => {
    const before = await readLog();
    const { rows } = await db.pool.query<{ name: string }>(
      "SELECT attname AS name FROM pg_attribute WHERE attrelid = 'audit_event'::regclass AND attnum > 0",
    );
    const other =
      "carrier_id, 9, event_time, actor, method, resource, outcome, error_reason, request_id, changed_fields, details_json";
    for (const statement of [
      ...rows.map(({ name }) => `UPDATE audit_event SET ${name} = ${name}`),
      ...rows.map(({ name }) => `UPDATE audit_event SET ${name} = DEFAULT`),
      "DELETE FROM audit_event",
      "TRUNCATE audit_event",
      "SELECT 1 FROM audit_event FOR UPDATE",
      `INSERT INTO audit_event SELECT ${other}, previous_hash, entry_hash FROM audit_event ON CONFLICT (carrier_id, sequence) DO UPDATE SET actor = 'x'`,
      "MERGE INTO audit_event e USING audit_chain c ON e.carrier_id = c.carrier_id WHEN MATCHED THEN DELETE",
      "UPDATE audit_chain SET first_sequence = 2",
      "UPDATE audit_chain SET carrier_id = 'mine'",
      "DELETE FROM audit_chain",
      "UPDATE audit_head SET sequence = 1",
      "UPDATE audit_head SET entry_hash = entry_hash",
      "UPDATE audit_head SET event_time = clock_timestamp()",
      "DELETE FROM audit_head",
      "TRUNCATE audit_head",
      "INSERT INTO audit_head SELECT * FROM audit_head ON CONFLICT (carrier_id, sequence) DO UPDATE SET entry_hash = excluded.entry_hash",
    ])
      expect(await tryAs(role, statement), statement).toBe(true);
    expect(await readLog()).toEqual(before);
  });

  test("has no right that it does not need: none with a grant option, none to empty, refer to or watch a table", async () => {
    const { rows } = await db.pool.query(
      `SELECT c.relname, a.privilege_type, a.is_grantable FROM pg_class c, aclexplode(c.relacl) a
       WHERE a.grantee = $1::regrole AND (a.is_grantable OR a.privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE'))`,
      [role],
    );
    expect(rows).toEqual([]);
  });
});

test.each([2, 3, 9])(
  "Confidentiality: a head that a role makes up at %i, behind two events, changes nothing or shows when the chain is verified",
  async (sequence) => {
    const carrierId = `carrier-${sequence}`;
    await addCarrier(db, carrierId);
    for (let count = 0; count < 2; count++)
      await systemTransaction(db, (tx) => appendAuditEvent(tx, { ...ACT, carrierId }));
    const makeUp = sql`INSERT INTO audit_head VALUES (${carrierId}, ${sequence}, decode(repeat('ab', 32), 'hex'), clock_timestamp())`;
    const made = carrierTransaction(db, carrierId, (tx) => makeUp.execute(tx));
    const isThere = sequence <= 2;
    expect(
      await made.then(
        () => "made",
        (error) => isSqlState(error, "23505"),
      ),
    ).toBe(isThere ? true : "made");
    const verdict = await verifyAuditChain(db, { carrierId }, new AbortController().signal);
    if (isThere) expect(verdict?.firstBreak).toBeUndefined();
    else expect(verdict?.firstBreak).toBeDefined();
  },
);

test("Confidentiality: what names no carrier is out of a carrier's reach, and each table that is granted at all has row security", async () => {
  const { rows } = await db.pool.query<{
    name: string;
    guarded: boolean;
    byCarrier: boolean;
    ofCarriers: boolean;
    granted: boolean;
  }>(
    `SELECT c.relname AS name, c.relrowsecurity AS guarded,
       EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'carrier_id') AS "byCarrier",
       has_any_column_privilege('tandem_carrier', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES') OR has_table_privilege('tandem_carrier', c.oid, 'DELETE') AS "ofCarriers",
       has_any_column_privilege('tandem_system', c.oid, 'INSERT, UPDATE') AS granted
     FROM pg_class c WHERE c.relname = ANY($1) AND c.relnamespace = current_schema()::regnamespace`,
    [tables],
  );
  expect(rows.length).toBe(tables.length);
  expect(rows.filter(({ byCarrier, ofCarriers }) => ofCarriers && !byCarrier)).toEqual([]);
  expect(rows.filter(({ guarded, ofCarriers, granted }) => (ofCarriers || granted) && !guarded)).toEqual([]);
});

test("Confidentiality: the set-up that docs/operations.md gives for a PostgreSQL of one's own is enough to serve, and no more", async () => {
  await using database = await createTestDatabase();
  const login = `tandem_login_${process.pid}`;
  await using owner = openDatabase({ url: database.url });
  await runAll(owner, await documentedSetUp(login, new URL(database.url).pathname.slice(1)));
  try {
    const url = new URL(database.url);
    [url.username, url.password] = [login, "choose-one"];
    await using app = await startExchange({ databaseUrl: url.href, reconcileIntervalMs: 50 });
    await addCarrier(app.services.db, "acme");
    const carriers = createClient(CarrierService, app.connect(await app.platformToken()));
    expect((await carriers.listCarriers({})).carriers).toMatchObject([{ carrierId: "acme" }]);
    const { rows } = await app.services.db.pool.query(
      `SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication, rolinherit FROM pg_roles WHERE rolname = current_user`,
    );
    const none = {
      rolsuper: false,
      rolcreaterole: false,
      rolcreatedb: false,
      rolbypassrls: false,
      rolreplication: false,
    };
    expect(rows).toEqual([{ rolname: login, ...none, rolinherit: false }]);
    expect(app.logged).toEqual([]);
  } finally {
    await owner.pool.query(`DROP OWNED BY ${login} CASCADE`);
    await owner.pool.query(`DROP ROLE ${login}`);
  }
});

/** Whether a statement is refused to a role for want of a right. What would happen is undone. */
async function tryAs(role: string, statement: string): Promise<boolean> {
  const undo = new Error("undo");
  try {
    await ownerTransaction(db, async (tx) => {
      await sql.raw(`SET LOCAL ROLE ${role}; SELECT set_config('tandem.carrier_id', 'acme', true)`).execute(tx);
      await sql.raw(statement).execute(tx);
      throw undo;
    });
    return false;
  } catch (error) {
    // A GRANT of what one cannot grant is a warning, and does nothing: the schema's text shows
    // that.
    if (error === undo) return statement.startsWith("GRANT SELECT");
    return isSqlState(error, FORBIDDEN);
  }
}

async function readLog(): Promise<unknown[]> {
  const { rows } = await db.pool.query(
    "SELECT e::text FROM audit_event e UNION ALL SELECT h::text FROM audit_head h ORDER BY 1",
  );
  return [...rows, ...(await db.pool.query("SELECT c::text FROM audit_chain c ORDER BY 1")).rows];
}

/** The statements of the one SQL block of the document, for another login and another database. */
async function documentedSetUp(login: string, database: string): Promise<string[]> {
  const text = await readFile(new URL("../../docs/operations.md", import.meta.url), "utf8");
  const [block, ...others] = [...text.matchAll(/```sql\n(.*?)```/gs)].map(([, found]) => found ?? "");
  expect(others).toEqual([]);
  const statements = (block ?? "").replaceAll(/--.*$/gm, "").split(";");
  return statements
    .map((statement) => statement.trim())
    .filter(
      (statement) =>
        statement !== "" && !statement.startsWith("CREATE DATABASE") && !/^CREATE ROLE tandem_/.test(statement),
    )
    .map((statement) =>
      statement
        .replaceAll(/\bDATABASE tandem\b/g, `DATABASE ${database}`)
        .replaceAll(/\b(ROLE|TO) tandem\b/g, `$1 ${login}`),
    );
}

async function runAll({ pool }: { pool: pg.Pool }, statements: readonly string[]): Promise<void> {
  for (const statement of statements) await pool.query(statement);
}
