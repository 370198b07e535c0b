import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { openApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config/config.ts";
import { openLog } from "../../src/log.ts";
import {
  carrierTransaction,
  type Database,
  isSqlState,
  openDatabase,
  ownerTransaction,
  systemTransaction,
} from "../../src/store/database/database.ts";
import { assertRolesBound, findExcessRights, proveIsolation } from "../../src/store/database/isolation.ts";
import { migrate } from "../../src/store/database/migrate.ts";
import type { Tx } from "../../src/store/database/run.ts";
import { createMigratedDatabase, createTestDatabase } from "../support/database.ts";
import { type CarrierTable, dropChecks, insertRow, listCarrierTables, selectRows } from "../support/generic-rows.ts";

/** PostgreSQL's insufficient_privilege: a missing grant, and a row that a policy refuses. */
const FORBIDDEN = "42501";
const ROLES = ["tandem_carrier", "tandem_system"] as const;

const resources = new AsyncDisposableStack();
let url: string;
let db: Database;
let tables: CarrierTable[];

beforeAll(async () => {
  url = resources.use(await createTestDatabase()).url;
  db = resources.use(openDatabase({ url }));
  await migrate(db);
  tables = await listCarrierTables(db.pool);
  await dropChecks(db.pool);
  await ownerTransaction(db, async (tx) => {
    for (const table of tables) for (const carrierId of ["acme", "bolt"]) await run(tx, insertRow(table, carrierId));
  });
});
afterAll(() => resources.disposeAsync());

test("of a transaction whose settings are refused nothing is carried out, though its statements do not wait for them", async () => {
  const reads: unknown[] = [];
  const read = async (tx: Tx) => {
    reads.push(await run(tx, "SELECT count(*) FROM upload").catch((error: unknown) => error));
  };
  const [role] = ROLES;
  const login = new URL(url);
  await db.pool.query("CREATE ROLE without_roles LOGIN PASSWORD 'x'");
  await db.pool.query("GRANT SELECT ON upload TO without_roles");
  [login.username, login.password] = ["without_roles", "x"];
  {
    await using stranger = openDatabase({ url: login.href });
    await expect(carrierTransaction(stranger, "acme", read)).rejects.toThrow(`"${role}"`);
  }
  await db.pool.query("REVOKE ALL ON upload FROM without_roles");
  await db.pool.query("DROP ROLE without_roles");
  await expect(carrierTransaction(db, "acme", read, { statementTimeoutMs: -5 })).rejects.toThrow("statement_timeout");
  // In a transaction that has failed.
  expect(reads).toMatchObject([{ code: "25P02" }, { code: "25P02" }]);
});

test.each(["acme'", "acme\u0000", "acme\\", "\ud800", "acme; COMMIT"])(
  "nothing is asked of the database for a carrier named %j",
  async (name) => {
    const work = vi.fn(async () => {});
    await expect(carrierTransaction(db, name, work)).rejects.toMatchObject({ reason: "CARRIER_NOT_FOUND" });
    expect(work).not.toHaveBeenCalled();
  },
);

describe("with another carrier set, a table", () => {
  const eachTable = async (
    choose: (table: CarrierTable) => boolean,
    check: (table: CarrierTable) => Promise<void>,
  ): Promise<void> => {
    const chosen = tables.filter(choose);
    expect(chosen.length).toBeGreaterThan(0);
    for (const table of chosen) await check(table);
  };

  test("yields nothing: not by predicate, not by scan, not by count", () =>
    eachTable(
      (table) => table.readable,
      async (table) => {
        const { name } = table;
        const counted = `SELECT count(*) FROM (${selectRows(table)}) AS r`;
        expect(await asBolt((tx) => rows(tx, counted)), name).toEqual([{ count: 1n }]);
        expect(await asNobody((tx) => rows(tx, counted)), name).toEqual([{ count: 0n }]);
        expect(await asNobody((tx) => rows(tx, selectRows(table))), name).toEqual([]);
        if (!table.columns.some((column) => column.name === "carrier_id" && column.readable)) return;
        expect(await asBolt((tx) => rows(tx, `SELECT carrier_id FROM ${name}`)), name).toEqual([
          { carrier_id: "bolt" },
        ]);
        const others = `${selectRows(table)} WHERE carrier_id = 'acme'`;
        expect(await asBolt((tx) => rows(tx, others)), name).toEqual([]);
      },
    ));

  test("refuses to add a row for the other, and to hand one's own over", async () => {
    await eachTable(
      (table) => table.insertable,
      async (table) => {
        expect(await stateOf(asBolt((tx) => run(tx, insertRow(table, "acme")))), table.name).toBe(FORBIDDEN);
      },
    );
    await eachTable(
      (table) => table.updatable,
      async ({ name }) => {
        const handOver = `UPDATE ${name} SET carrier_id = 'acme'`;
        expect(await stateOf(asBolt((tx) => run(tx, handOver))), name).toBe(FORBIDDEN);
      },
    );
  });

  test("lets no row of the other be changed, locked or deleted", async () => {
    const before = await readAll();
    await eachTable(
      (table) => table.updatable,
      async ({ name, columns }) => {
        for (const column of columns.filter(({ updatable }) => updatable))
          expect(await affected(asNobody, `UPDATE ${name} SET ${column.name} = ${column.value}`), name).toBe(0n);
        expect(await asNobody((tx) => rows(tx, `SELECT 1 FROM ${name} FOR UPDATE`))).toEqual([]);
        expect(await asBolt((tx) => rows(tx, `SELECT 1 FROM ${name} WHERE carrier_id = 'acme' FOR UPDATE`))).toEqual(
          [],
        );
      },
    );
    await eachTable(
      (table) => table.deletable,
      async ({ name }) => {
        expect(await affected(asNobody, `DELETE FROM ${name}`), name).toBe(0n);
        expect(await affected(asBolt, `DELETE FROM ${name} WHERE carrier_id = 'acme'`), name).toBe(0n);
      },
    );
    expect(await readAll()).toEqual(before);
  });

  test("refuses every write that is not granted, and to be emptied", async () => {
    const forbidden = async (name: string, statement: string) =>
      expect(await stateOf(asBolt((tx) => run(tx, statement))), statement || name).toBe(FORBIDDEN);
    for (const table of tables) {
      const { name } = table;
      await forbidden(name, `TRUNCATE ${name}`);
      if (!table.insertable) await forbidden(name, insertRow(table, "bolt"));
      if (!table.deletable) await forbidden(name, `DELETE FROM ${name}`);
      for (const column of table.columns)
        if (!column.updatable) await forbidden(name, `UPDATE ${name} SET ${column.name} = ${column.value}`);
    }
  });

  test("that decides between carriers is out of a carrier's reach", async () => {
    const hidden = tables.filter((table) => !table.readable).map(({ name }) => name);
    expect(hidden).toEqual(expect.arrayContaining(["carrier_credential", "job_lease", "number_owner", "audit_event"]));
    for (const name of [...hidden, "installation"])
      expect(await stateOf(asBolt((tx) => rows(tx, `SELECT FROM ${name}`))), name).toBe(FORBIDDEN);
  });

  test("cannot be had by switching row security off", () =>
    eachTable(
      (table) => table.readable,
      async ({ name }) => {
        const unguarded = asBolt(async (tx) => {
          await run(tx, "SET LOCAL row_security = off");
          return rows(tx, `SELECT FROM ${name}`);
        });
        expect(await stateOf(unguarded), name).toBe(FORBIDDEN);
      },
    ));
});

test("without a carrier set, the carrier role sees nothing at all", async () => {
  for (const { name, readable } of tables) {
    if (!readable) continue;
    const seen = await ownerTransaction(db, async (tx) => {
      await run(tx, "SET LOCAL ROLE tandem_carrier");
      return rows(tx, `SELECT FROM ${name}`);
    });
    expect(seen, name).toEqual([]);
    expect(await carrierTransaction(db, "", (tx) => rows(tx, `SELECT FROM ${name}`)), name).toEqual([]);
  }
});

test("the system role sees every carrier, in every table", async () => {
  for (const { name } of tables) {
    const seen = await systemTransaction(db, (tx) =>
      rows(tx, `SELECT carrier_id FROM ${name} WHERE carrier_id <> '' ORDER BY 1`),
    );
    expect(seen, name).toEqual([{ carrier_id: "acme" }, { carrier_id: "bolt" }]);
  }
});

describe("a pooled connection", () => {
  test("reused across carriers carries nothing over, neither after COMMIT nor after ROLLBACK", async () => {
    await using one = openDatabase({ url, maxConnections: 1 });
    const pids = new Set<unknown>();
    const look = async (tx: Tx) => {
      pids.add((await rows(tx, "SELECT pg_backend_pid() AS pid"))[0]?.["pid"]);
      return rows(tx, "SELECT carrier_id FROM phone_number");
    };
    const session = () =>
      one.pool.query(
        "SELECT current_user = session_user AS own, coalesce(current_setting('tandem.carrier_id', true), '') AS carrier, current_setting('statement_timeout') AS timeout",
      );
    const untouched = [{ own: true, carrier: "", timeout: "0" }];
    expect((await session()).rows).toEqual(untouched);
    for (let turn = 0; turn < 3; turn++) {
      expect(await carrierTransaction(one, "acme", look)).toEqual([{ carrier_id: "acme" }]);
      expect((await session()).rows).toEqual(untouched);
      const failing = carrierTransaction(one, "acme", async (tx) => {
        await look(tx);
        await run(tx, "SELECT 1 / 0");
      });
      expect(await stateOf(failing)).toBe("22012");
      expect((await session()).rows).toEqual(untouched);
      expect(await carrierTransaction(one, "bolt", look)).toEqual([{ carrier_id: "bolt" }]);
      expect(await systemTransaction(one, look)).toHaveLength(2);
      expect(await carrierTransaction(one, "nobody", look)).toEqual([]);
    }
    expect(pids.size).toBe(1);
  });

  test("shared by many carriers at once gives each its own", async () => {
    await using few = openDatabase({ url, maxConnections: 2 });
    const carriers = Array.from({ length: 60 }, (_, index) => ["acme", "bolt", "nobody"][index % 3] ?? "");
    const seen = await Promise.all(
      carriers.map((carrierId) =>
        carrierTransaction(few, carrierId, (tx) => rows(tx, "SELECT carrier_id FROM cdr_record")),
      ),
    );
    expect(seen).toEqual(carriers.map((carrierId) => (carrierId === "nobody" ? [] : [{ carrier_id: carrierId }])));
  });
});

describe.each(ROLES)("%s", (role) => {
  test("is no superuser, bypasses nothing, cannot log in and belongs to no other role", async () => {
    const { rows: found } = await db.pool.query(
      `SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, rolcanlogin,
         (SELECT count(*) FROM pg_auth_members m WHERE m.member = r.oid)::int AS memberships
       FROM pg_roles r WHERE rolname = $1`,
      [role],
    );
    expect(found).toEqual([
      {
        rolsuper: false,
        rolbypassrls: false,
        rolcreaterole: false,
        rolcreatedb: false,
        rolreplication: false,
        rolcanlogin: false,
        memberships: 0,
      },
    ]);
  });

  test("owns nothing, and cannot alter the schema", async () => {
    const { rows: owned } = await db.pool.query("SELECT relname FROM pg_class WHERE relowner = $1::regrole", [role]);
    expect(owned).toEqual([]);
    for (const statement of [
      "CREATE TABLE mine (a int)",
      "ALTER TABLE cdr_record ADD COLUMN mine int",
      "ALTER TABLE cdr_record DISABLE ROW LEVEL SECURITY",
      "CREATE POLICY mine ON cdr_record USING (true)",
      "DROP POLICY carrier_sees_its_own ON cdr_record",
      "CREATE INDEX mine ON cdr_record (trunk_id)",
      "DROP TABLE cdr_consumer",
      "ALTER TABLE cdr_record OWNER TO CURRENT_USER",
      "CREATE SCHEMA mine",
    ]) {
      const tried = ownerTransaction(db, async (tx) => {
        await run(tx, `SET LOCAL ROLE ${role}`);
        await run(tx, statement);
      });
      expect(await stateOf(tried), statement).toBe(FORBIDDEN);
    }
  });

  test("has no grant on any partition, where row security would not be asked", async () => {
    const { rows: partitions } = await db.pool.query<{ name: string; granted: boolean }>(
      `SELECT c.relname AS name, has_table_privilege($1, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') AS granted
       FROM pg_class c WHERE c.relispartition AND c.relkind = 'r'`,
      [role],
    );
    expect(partitions.length).toBeGreaterThan(20);
    expect(partitions.filter(({ granted }) => granted)).toEqual([]);
    const partition = partitions.find(({ name }) => name.startsWith("cdr_record_"))?.name;
    const tried = ownerTransaction(db, async (tx) => {
      await run(tx, `SET LOCAL ROLE ${role}`);
      await rows(tx, `SELECT FROM ${partition}`);
    });
    expect(await stateOf(tried)).toBe(FORBIDDEN);
  });
});

test("every table with a carrier_id has row security on, and nothing is granted to PUBLIC", async () => {
  const { rows: open } = await db.pool.query(
    `SELECT c.relname FROM pg_class c WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND NOT c.relrowsecurity
       AND c.relnamespace = current_schema()::regnamespace AND c.relname = ANY($1)`,
    [tables.map(({ name }) => name)],
  );
  expect(open).toEqual([]);
  const { rows: granted } = await db.pool.query(
    `SELECT c.relname FROM pg_class c, aclexplode(c.relacl) a
     WHERE a.grantee = 0 AND c.relnamespace = current_schema()::regnamespace`,
  );
  expect(granted).toEqual([]);
});

test("a database on which row security does not hold is not served", async () => {
  await using database = await createTestDatabase();
  await using opened = openDatabase({ url: database.url });
  await migrate(opened);
  await proveIsolation(opened);
  await opened.pool.query("ALTER TABLE isolation_probe DISABLE ROW LEVEL SECURITY");
  await expect(proveIsolation(opened)).rejects.toThrow(/row-level security does not hold.*2 of the 2 probe rows/);
  const config = loadConfig({}, { databaseUrl: database.url, issueTokens: true, dataDir: "/nonexistent", port: 0 });
  await expect(openApp(config, openLog("silent"))).rejects.toThrow(/refuses to serve/);
});

test("a database whose roles bypass row security is not served, and a login that does is named at the start", async () => {
  await using database = await createTestDatabase();
  await using opened = openDatabase({ url: database.url });
  await migrate(opened);
  // The run's administrator is a superuser; nobody should serve as one.
  expect(await findExcessRights(opened)).toEqual(["SUPERUSER"]);
  await using served = await createMigratedDatabase();
  await using asLogin = openDatabase({ url: served.url });
  expect(await findExcessRights(asLogin)).toEqual([]);
  const undo = new Error("undo");
  // Roles are the whole server's, and others are at work on it: what is changed here is seen by
  // this transaction alone.
  const tried = ownerTransaction(opened, async (tx) => {
    await run(tx, "ALTER ROLE tandem_system BYPASSRLS");
    await assertRolesBound(tx);
    throw undo;
  });
  await expect(tried).rejects.toThrow(/role tandem_system bypasses it.*refuses to serve/);
  await proveIsolation(opened);
});

function asBolt<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
  return carrierTransaction(db, "bolt", work);
}

function asNobody<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
  return carrierTransaction(db, "nobody", work);
}

/** All rows of all tables. */
async function readAll(): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for (const { name } of tables)
    found[name] = await ownerTransaction(db, (tx) => rows(tx, `SELECT t::text FROM ${name} t ORDER BY 1`));
  return found;
}

async function run(tx: Tx, statement: string): Promise<void> {
  await sql.raw(statement).execute(tx);
}

async function rows(tx: Tx, statement: string): Promise<Record<string, unknown>[]> {
  return (await sql.raw<Record<string, unknown>>(statement).execute(tx)).rows;
}

async function affected(as: typeof asBolt<bigint | undefined>, statement: string): Promise<bigint | undefined> {
  return as(async (tx) => (await sql.raw(statement).execute(tx)).numAffectedRows);
}

/** The SQLSTATE with which a transaction fails. */
async function stateOf(work: Promise<unknown>): Promise<unknown> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error !== undefined && !isSqlState(error, "42", "22", "0A")) throw error;
  return (error as { code?: unknown } | undefined)?.code;
}
