import { randomBytes } from "node:crypto";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import type { Finding } from "../../src/cli/doctor/finding.ts";
import { createAuthority } from "../support/certificates.ts";
import { runCli } from "../support/cli.ts";
import { stepClockBack } from "../support/clock.ts";
import { createMigratedDatabase, createTestDatabase } from "../support/database.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";

let exchange: Exchange;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-doctor-"));
  exchange = await startExchange();
  await exchange.addCarrier("nordlys-tele");
});

afterAll(async () => {
  await exchange?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test("finds nothing to mend beside a server that is well, but what the test's PostgreSQL does without, and that it may be slow", async () => {
  const { findings, code } = await look(onExchange());
  const bad = findings.filter(({ severity }) => severity === "warning" || severity === "error");
  expect(bad.filter(({ check, found }) => check !== "database" || !/fsync|autovacuum|answers in/.test(found))).toEqual(
    [],
  );
  expect(code).toBe(bad.length === 0 ? 0 : 4);
  const checks = new Set(findings.map(({ check }) => check));
  for (const check of "settings exposure certificates disk database roles migrations isolation partitions clock timeline leases".split(
    " ",
  ))
    expect(checks).toContain(check);
});

test("prints lines for people, and CSV, and says what it did not find", async () => {
  const { stdout } = await runCli(["doctor"], onExchange());
  expect(stdout).toMatch(/^ok +migrations +the schema is the newest$/m);
  const csv = await runCli(["doctor", "--csv"], onExchange());
  expect(csv.stdout).toMatch(/^check,severity,found,remedy\n/);
});

test("fault: a setting is misspelt", async () => {
  await expectFault(
    { ...onExchange(), TANDEM_DATABASE_POOOL: "5" },
    "error",
    "settings",
    /TANDEM_DATABASE_POOOL.*did you mean TANDEM_DATABASE_POOL\?/,
    /serve --help/,
  );
});

test("fault: a setting has a value that it cannot have, and everything else is looked at all the same", async () => {
  const findings = await expectFault(
    { ...onExchange(), TANDEM_PORT: "70000" },
    "error",
    "settings",
    /TANDEM_PORT: /,
    /correct it/,
  );
  expect(findings).toContainEqual(expect.objectContaining({ check: "timeline", severity: "ok" }));
});

test("fault: nothing listens where the database should be", async () => {
  const url = changed(exchange.databaseUrl, (it) => (it.port = "1"));
  await expectFault(
    on(url),
    "error",
    "database",
    /127\.0\.0\.1:1.*nothing answers there \(ECONNREFUSED\)/,
    /start PostgreSQL there/,
  );
});

test("fault: the database refuses the login's password, which is not shown", async () => {
  const url = changed(exchange.databaseUrl, (it) => (it.password = "wrong-password"));
  const findings = await expectFault(on(url), "error", "database", /refuses the login/, /correct user and password/);
  expect(JSON.stringify(findings)).not.toContain("wrong-password");
});

test("fault: there is no such database", async () => {
  const url = changed(exchange.databaseUrl, (it) => (it.pathname = "/nothing_here"));
  await expectFault(on(url), "error", "database", /it has no database nothing_here/, /createdb nothing_here/);
});

test("fault: the database's encoding cannot hold every text, and nothing of Tandem is in it", async () => {
  const name = `test_${randomBytes(6).toString("hex")}`;
  await sql(inject("postgresUrl"), `CREATE DATABASE ${name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0`);
  try {
    const settings = on(changed(inject("postgresUrl"), (it) => (it.pathname = `/${name}`)));
    const findings = await expectFault(settings, "error", "database", /encoding SQL_ASCII/, /ENCODING 'UTF8'/);
    expect(findings).toContainEqual(
      expect.objectContaining({ check: "migrations", remedy: expect.stringContaining("tandem migrate") }),
    );
  } finally {
    await sql(inject("postgresUrl"), `DROP DATABASE ${name}`);
  }
});

test("fault: sessions of the database begin read-only", async () => {
  await using database = await createMigratedDatabase();
  const name = new URL(database.url).pathname.slice(1);
  await sql(inject("postgresUrl"), `ALTER DATABASE ${name} SET default_transaction_read_only = on`);
  await expectFault(on(database.url), "error", "database", /begin read-only/, /RESET default_transaction_read_only/);
});

test("fault: the pool is larger than the server", async () => {
  await expectFault(
    { ...onExchange(), TANDEM_DATABASE_POOL: "500" },
    "warning",
    "database",
    /TANDEM_DATABASE_POOL is 500/,
    /raise max_connections/,
  );
});

test("fault: the login is a superuser", async () => {
  const { username, password } = new URL(inject("postgresUrl"));
  const url = changed(exchange.databaseUrl, (it) => Object.assign(it, { username, password }));
  await expectFault(
    { ...onExchange(), TANDEM_DATABASE_URL: url },
    "warning",
    "roles",
    /SUPERUSER/,
    /docs\/operations\.md/,
  );
});

test("fault: the login is no member of the roles of transactions", async () => {
  const login = `test_${randomBytes(6).toString("hex")}`;
  await using database = await createTestDatabase();
  await sql(inject("postgresUrl"), `CREATE ROLE ${login} LOGIN NOINHERIT PASSWORD 'p'`);
  try {
    const url = changed(database.url, (it) => Object.assign(it, { username: login, password: "p" }));
    await expectFault(on(url), "error", "roles", /no member of tandem_carrier/, /GRANT tandem_carrier/);
  } finally {
    await sql(inject("postgresUrl"), `DROP ROLE ${login}`);
  }
});

test("fault: the schema is older than this build", async () => {
  await expectPlanted(
    "DELETE FROM kysely_migration WHERE name = '0021-kept-figures'",
    "error",
    "migrations",
    /lacks 0021-kept-figures/,
    /tandem migrate/,
  );
});

test("fault: the schema is of a newer Tandem", async () => {
  const planted = "INSERT INTO kysely_migration (name, timestamp) VALUES ('9999-later', now()::text)";
  await expectPlanted(planted, "error", "migrations", /newer Tandem: it has 9999-later/, /a schema never goes back/);
});

test("fault: row-level security is switched off, and one carrier sees another's rows", async () => {
  const planted = "ALTER TABLE isolation_probe DISABLE ROW LEVEL SECURITY";
  const findings = await expectPlanted(
    planted,
    "error",
    "isolation",
    /off on isolation_probe/,
    /ENABLE ROW LEVEL SECURITY/,
  );
  expect(findings).toContainEqual(
    expect.objectContaining({ check: "isolation", found: expect.stringContaining("does not hold") }),
  );
});

test("fault: the partitions of the weeks to come are missing", async () => {
  await expectPlanted(
    "DROP TABLE cdr_record_future",
    "error",
    "partitions",
    /0 weeks ahead: ingest stops/,
    /tandem migrate/,
  );
});

test("fault: the clock of this machine is behind the database's", async () => {
  using _ = stepClockBack(120_000);
  await expectFault(onExchange(), "error", "clock", /database's clock is 1\d\d\.\d s ahead of/, /NTP/);
});

test("fault: a feed is ahead of the database's clock", async () => {
  const [ahead, back] = ["clock_timestamp() + interval '1 hour'", "'-infinity'"];
  const set = (time: string) => sql(adminUrl(exchange.databaseUrl), `UPDATE feed_head SET last_ingest_time = ${time}`);
  await set(ahead);
  try {
    await expectFault(
      onExchange(),
      "error",
      "clock",
      /writes of nordlys-tele wait/,
      /tandem clock accept --carrier nordlys-tele --yes/,
    );
  } finally {
    await set(back);
  }
});

test("fault: the database is on another timeline than was confirmed", async () => {
  await expectPlanted(
    "UPDATE installation SET timeline = 99",
    "warning",
    "timeline",
    /another server or timeline/,
    /tandem epoch confirm --yes/,
  );
});

test("fault: a job's holder died, and nobody took its lease", async () => {
  await using database = await createMigratedDatabase();
  await sql(
    adminUrl(database.url),
    `INSERT INTO job_lease (carrier_id, job, holder, lease_epoch, until_time) VALUES ('', 'erase', 'host-7', 1, clock_timestamp() - interval '2 days')`,
  );
  await expectFault(
    on(database.url),
    "warning",
    "leases",
    /nobody holds the lease of the job erase: host-7 ended/,
    /start a server/,
  );
});

test("fault: the data folder lacks the signing key that all processes share", async () => {
  await expectFault(
    { ...onExchange(), TANDEM_DATA_DIR: await makeFolder("empty") },
    "error",
    "signing key",
    /share one/,
    /tandem keys adopt/,
  );
});

test("fault: the erasure key is another than all processes share", async () => {
  const key = join(await makeFolder("key"), "erasures.key");
  await writeFile(key, `${randomBytes(32).toString("base64")}\n`, { mode: 0o600 });
  await expectFault(
    { ...onExchange(), TANDEM_ERASURE_KEY_FILE: key },
    "error",
    "erasure key",
    /share key/,
    /copy it from a process that has it/,
  );
});

test("fault: others can read a secret", async () => {
  const dataDir = await makeFolder("open");
  await mkdir(join(dataDir, "keys"), { mode: 0o700 });
  const key = join(dataDir, "keys", "signing.jwk");
  await writeFile(key, await readFile(join(exchange.dataDir, "keys", "signing.jwk")));
  await chmod(key, 0o644);
  await expectFault(
    { ...onExchange(), TANDEM_DATA_DIR: dataDir },
    "warning",
    "exposure",
    /signing\.jwk \(mode 0644\): others can read/,
    /chmod 600/,
  );
});

test("fault: the server's certificate has expired, and that of an authority ends soon", async () => {
  const authority = await createAuthority("doctor");
  const issue = (ms: number) =>
    authority.issue([{ type: "dns", value: "localhost" }], { notAfter: new Date(Date.now() + ms) });
  const [expired, ending] = [await issue(-60_000), await issue(600_000)];
  const tls = async (name: string, content: string) => {
    const file = join(await makeFolder("tls"), name);
    await writeFile(file, content, { mode: 0o600 });
    return file;
  };
  const settings = {
    ...onExchange(),
    TANDEM_TLS_CERT: await tls("expired.pem", expired.cert),
    TANDEM_TLS_KEY: await tls("expired.key", expired.key),
    TANDEM_TLS_CLIENT_CA: await tls("ca.pem", ending.cert),
  };
  await expectFault(
    settings,
    "error",
    "certificates",
    /TANDEM_TLS_CERT \(CN=test\) expired at /,
    /put a new certificate/,
  );
  await expectFault(
    settings,
    "warning",
    "certificates",
    /TANDEM_TLS_CLIENT_CA .* expires at .*, in 0 hours/,
    /authority's new certificate/,
  );
});

test("fault: the issuer's URL gives no keys", async () => {
  const settings = {
    ...onExchange(),
    TANDEM_ISSUE_TOKENS: "",
    TANDEM_JWKS_URL: "http://127.0.0.1:2/keys",
    TANDEM_JWT_ISSUER: "issuer",
    TANDEM_JWT_AUDIENCE: "tandem",
  };
  await expectFault(
    settings,
    "error",
    "issuer",
    /127\.0\.0\.1:2\/keys gives no keys: .*ECONNREFUSED/,
    /TANDEM_JWKS_URL/,
  );
});

test("fault: the disk has less room than is wanted", async () => {
  await expectFault(
    { ...onExchange(), minFree: "1000000" },
    "error",
    "disk",
    /are free in .*less than 1000000/,
    /larger disk/,
  );
});

test("fault: a restore into the data folder was interrupted", async () => {
  const dataDir = await makeFolder("half");
  await mkdir(join(dataDir, "restoring"), { recursive: true });
  await expectFault({ TANDEM_DATA_DIR: dataDir }, "error", "data folder", /has not finished/, /tandem restore/);
});

test("fault: the data folder has no PostgreSQL, and none is made", async () => {
  const dataDir = await makeFolder("none");
  await expectFault({ TANDEM_DATA_DIR: dataDir }, "error", "database", /no PostgreSQL of Tandem/, /tandem migrate/);
});

type Settings = Readonly<Record<string, string>>;

function on(databaseUrl: string): Settings {
  return { TANDEM_DATABASE_URL: databaseUrl, TANDEM_ISSUE_TOKENS: "on", TANDEM_DATA_DIR: join(folder, "unused") };
}

function onExchange(): Settings {
  return { ...on(exchange.databaseUrl), TANDEM_DATA_DIR: exchange.dataDir };
}

async function look({ minFree, ...settings }: Settings) {
  const more = minFree === undefined ? [] : ["--min-free", minFree];
  const { code, stdout } = await runCli(["doctor", "--json", ...more], settings);
  const { findings } = JSON.parse(stdout) as { findings: Finding[] };
  return { code, findings };
}

/** That the fault is named, with its remedy, and the exit code is its severity's. */
async function expectFault(
  settings: Settings,
  severity: "warning" | "error",
  check: string,
  found: RegExp,
  remedy: RegExp,
): Promise<readonly Finding[]> {
  const { code, findings } = await look(settings);
  const told = { check, severity, found: expect.stringMatching(found), remedy: expect.stringMatching(remedy) };
  expect(findings).toContainEqual(told);
  expect(code).toBe(findings.some((finding) => finding.severity === "error") ? 1 : 4);
  return findings;
}

/** As `expectFault`, for one that a statement makes in a database of its own. */
async function expectPlanted(
  statement: string,
  ...expected: ["warning" | "error", string, RegExp, RegExp]
): Promise<readonly Finding[]> {
  await using database = await createMigratedDatabase();
  await sql(adminUrl(database.url), statement);
  return await expectFault(on(database.url), ...expected);
}

async function makeFolder(name: string): Promise<string> {
  return await mkdtemp(join(folder, `${name}-`));
}

function changed(url: string, change: (url: URL) => unknown): string {
  const copy = new URL(url);
  change(copy);
  return copy.href;
}

/** The same database, as the administrator. */
function adminUrl(url: string): string {
  const { username, password } = new URL(inject("postgresUrl"));
  return changed(url, (it) => Object.assign(it, { username, password }));
}

async function sql(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
