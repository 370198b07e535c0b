import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";

/** The login that serves (docs/operations.md): it owns the tables and is no superuser. */
export const SERVICE_USER = "tandem_service";

const DATABASE = "tandem";
const OTHER_ROLES = ["tandem_carrier", "tandem_system"] as const;
/** How long an older version's process may hold a table before the start fails, milliseconds. */
const OWNER_WAIT_MS = 30_000;

/** Where the server is reached, and as whom. Never log it. */
export interface RoleAccess {
  /** As the cluster's superuser, without a database. */
  readonly adminUrl: string;
  /** As the service. */
  readonly serviceUrl: string;
  readonly servicePassword: string;
}

/**
 * Makes the database and the roles of docs/operations.md, corrects them, and gives the service what
 * is in the database: older clusters served as the superuser, whom row security does not bind. It
 * can be repeated, and stopped at any point. Called under the folder's lock.
 *
 * It also proves that the server is ours: it knows the folder's passwords.
 */
export async function ensureRoles(access: RoleAccess, signal: AbortSignal): Promise<void> {
  if (await isReady(access)) return;
  await asAdmin(access, "postgres", (client) => makeDatabase(client));
  await asAdmin(access, DATABASE, async (client) => {
    await makeRoles(client, access.servicePassword);
    for (const statement of RIGHTS) await client.query(statement);
    await handOver(client, signal);
  });
}

/** Whether nothing is left to do. That the service cannot log in is an answer too. */
async function isReady({ serviceUrl }: RoleAccess): Promise<boolean> {
  try {
    return await withClient(serviceUrl, async (client) => {
      const { rows } = await client.query<{ ready: boolean }>(READY, [OTHER_ROLES]);
      return rows[0]?.ready === true;
    });
  } catch (error) {
    if (NOT_READY.has((error as { code?: string }).code)) return false;
    throw error;
  }
}

// 28P01 wrong password, or no such role; 28000, 42501 not allowed to connect; 3D000 no database;
// 42704 no such role of ours.
const NOT_READY: ReadonlySet<string | undefined> = new Set(["28P01", "28000", "42501", "3D000", "42704"]);

const READY = `
  SELECT NOT (r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolinherit)
    AND (SELECT count(*) FROM pg_auth_members m WHERE m.member = r.oid) = 2
    AND (SELECT bool_and(pg_has_role(r.oid, o.oid, 'MEMBER')) AND count(*) = 2 FROM pg_roles o WHERE o.rolname = ANY($1))
    AND has_schema_privilege(r.oid, 'public', 'USAGE') AND has_schema_privilege(r.oid, 'public', 'CREATE')
    AND has_schema_privilege('tandem_system', 'public', 'USAGE')
    AND NOT has_database_privilege('tandem_system', current_database(), 'CONNECT')
    AND has_function_privilege(r.oid, 'pg_control_system()', 'EXECUTE')
    AND NOT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relowner <> r.oid)
    AND NOT EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.proowner <> r.oid) AS ready
  FROM pg_roles r WHERE r.rolname = current_user`;

const RIGHTS = [
  `REVOKE ALL ON DATABASE ${DATABASE} FROM PUBLIC`,
  `GRANT CONNECT ON DATABASE ${DATABASE} TO ${SERVICE_USER}`,
  "REVOKE ALL ON SCHEMA public FROM PUBLIC",
  `GRANT USAGE, CREATE ON SCHEMA public TO ${SERVICE_USER}`,
  `GRANT USAGE ON SCHEMA public TO ${OTHER_ROLES.join(", ")}`,
  // A restore shows by what they say.
  `GRANT EXECUTE ON FUNCTION pg_control_system(), pg_control_checkpoint() TO ${SERVICE_USER}`,
];

async function makeDatabase(client: pg.Client): Promise<void> {
  const { rowCount } = await client.query("SELECT 1 FROM pg_database WHERE datname = $1", [DATABASE]);
  if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
}

async function makeRoles(client: pg.Client, password: string): Promise<void> {
  const { rows } = await client.query<{ rolname: string }>("SELECT rolname FROM pg_roles WHERE rolname = ANY($1)", [
    [...OTHER_ROLES, SERVICE_USER],
  ]);
  const known = new Set(rows.map(({ rolname }) => rolname));
  for (const role of OTHER_ROLES) if (!known.has(role)) await client.query(`CREATE ROLE ${role} NOLOGIN NOINHERIT`);
  const attributes = "LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS";
  const verb = known.has(SERVICE_USER) ? "ALTER" : "CREATE";
  await client.query(`${verb} ROLE ${SERVICE_USER} ${attributes} PASSWORD ${pg.escapeLiteral(password)}`);
  const { rows: others } = await client.query<{ name: string }>(
    `SELECT quote_ident(r.rolname) AS name FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid
     WHERE m.member = $1::regrole AND r.rolname <> ALL($2)`,
    [SERVICE_USER, OTHER_ROLES],
  );
  for (const { name } of others) await client.query(`REVOKE ${name} FROM ${SERVICE_USER}`);
  await client.query(`GRANT ${OTHER_ROLES.join(", ")} TO ${SERVICE_USER}`);
}

/**
 * Makes the service the owner of the schema's contents, one by one: all at once would wait for
 * every table, and hold those it has.
 */
async function handOver(client: pg.Client, signal: AbortSignal): Promise<void> {
  const { rows } = await client.query<{ statement: string }>(
    `SELECT format('ALTER %s %s OWNER TO %I', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
         WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END, c.oid::regclass, $1::text) AS statement
       FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relowner <> $1::regrole AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'c', 'f')
         -- A sequence of a column goes with its table.
         AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND c.relkind = 'S' AND d.deptype IN ('a', 'i'))
     UNION ALL
     SELECT format('ALTER ROUTINE %s OWNER TO %I', p.oid::regprocedure, $1::text)
       FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.proowner <> $1::regrole`,
    [SERVICE_USER],
  );
  await client.query("SET lock_timeout = '1s'");
  const until = performance.now() + OWNER_WAIT_MS;
  for (const { statement } of rows) {
    while (!(await isDone(client, statement))) {
      signal.throwIfAborted();
      if (performance.now() > until)
        throw new Error(
          `another process holds a table of the data folder: stop those of older versions (${statement})`,
        );
      await sleep(100, undefined, { signal });
    }
  }
}

// False: it is in use, or was changed at the same moment. A missing one is as good as done:
// partitions come and go.
async function isDone(client: pg.Client, statement: string): Promise<boolean> {
  try {
    await client.query(statement);
    return true;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "42P01" || code === "42883") return true;
    if (code === "55P03" || code === "40P01" || code === "XX000") return false;
    throw error;
  }
}

async function asAdmin({ adminUrl }: RoleAccess, database: string, run: (client: pg.Client) => Promise<void>) {
  const url = new URL(adminUrl);
  url.pathname = `/${database}`;
  await withClient(url.href, run);
}

async function withClient<T>(url: string, run: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on("error", () => {});
  await client.connect();
  try {
    return await run(client);
  } finally {
    await client.end();
  }
}
