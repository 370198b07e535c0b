import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { DEFAULT_LIMITS } from "../domain/limits.ts";
import { loadClientConfig } from "./client-config.ts";
import { ConfigError, describeSettings, loadConfig } from "./config.ts";
import { chooseDataDir } from "./data-dir.ts";

const folder = mkdtempSync(join(tmpdir(), "tandem-config-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("needs no setting at all", () => {
  const config = loadConfig({});
  expect(config).toMatchObject({
    databaseUrl: undefined,
    host: "127.0.0.1",
    port: 7443,
    tls: undefined,
    reflection: true,
    metrics: undefined,
  });
  // Where that is depends on who runs this and where: config-data-dir.test.ts.
  expect(config.dataDir).toBe(chooseDataDir(undefined).dataDir);
  expect(config.tokens).toEqual({ keys: { kind: "own" }, issuer: "tandem", audience: "tandem" });
  expect(config.limits).toEqual(DEFAULT_LIMITS);
});

test("names every mistake at once", () => {
  const mistakes = mistakesOf({
    TANDEM_PORT: "99999",
    TANDEM_DATABASE_URL: "mysql://x",
    TANDEM_HOST: "0.0.0.0",
    TANDEM_TLS_KEY: join(folder, "missing.key"),
    TANDEM_LOG_LEVEL: "loud",
    TANDEM_REFLECTION: "perhaps",
    TANDEM_JWKS_URL: "http://issuer.example/jwks",
    TANDEM_HEARTBEAT_INTERVAL_MS: "-1",
    TANDEM_PLATFORM_IDENTITIES: "spiffe://ops.example/x=carriers.read everything",
  });
  for (const variable of [
    "TANDEM_PORT",
    "TANDEM_DATABASE_URL",
    "TANDEM_HOST",
    "TANDEM_TLS_KEY",
    "TANDEM_TLS_CERT",
    "TANDEM_LOG_LEVEL",
    "TANDEM_REFLECTION",
    "TANDEM_JWKS_URL",
    "TANDEM_JWT_ISSUER",
    "TANDEM_JWT_AUDIENCE",
    "TANDEM_HEARTBEAT_INTERVAL_MS",
    "TANDEM_PLATFORM_IDENTITIES",
  ]) {
    expect(
      mistakes.filter((mistake) => mistake.startsWith(`${variable}:`)),
      variable,
    ).toHaveLength(1);
  }
});

test("refuses cleartext off loopback unless told explicitly", () => {
  for (const host of ["0.0.0.0", "::", "192.0.2.1", "tandem.example"]) {
    expect(mistakesOf({ TANDEM_HOST: host }).join(), host).toMatch(/not loopback.*TANDEM_ALLOW_CLEARTEXT=on/);
    expect(loadConfig({ TANDEM_HOST: host, TANDEM_ALLOW_CLEARTEXT: "on" }).tls).toBeUndefined();
  }
  for (const host of ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
    expect(loadConfig({ TANDEM_HOST: host }).host).toBe(host);
});

test("an override wins over the environment, and is checked like it", () => {
  expect(loadConfig({ TANDEM_PORT: "1000" }, { port: 0 }).port).toBe(0);
  expect(() => loadConfig({}, { port: "x" })).toThrow("TANDEM_PORT");
});

test("a variable that is set and empty is not set", () => {
  expect(loadConfig({ TANDEM_DATABASE_URL: "", TANDEM_PORT: "" }).port).toBe(7443);
});

test("without an own database, somebody must be able to call", () => {
  const outside = { TANDEM_DATABASE_URL: "postgres://db/tandem" };
  expect(mistakesOf(outside).join()).toContain("nobody could call");
  expect(loadConfig({ ...outside, TANDEM_ISSUE_TOKENS: "on" }).tokens.keys.kind).toBe("own");
});

test("reads a JWKS file, and says when it is none", () => {
  const file = join(folder, "jwks.json");
  const env = { TANDEM_JWKS_FILE: file, TANDEM_JWT_ISSUER: "https://issuer.example", TANDEM_JWT_AUDIENCE: "tandem" };
  writeFileSync(file, JSON.stringify({ keys: [{ kty: "EC", crv: "P-256", x: "x", y: "y" }] }));
  expect(loadConfig(env).tokens).toMatchObject({
    keys: { kind: "file", keySet: { keys: [{ crv: "P-256" }] } },
    issuer: "https://issuer.example",
  });
  for (const text of ["not json", "{}", '{"keys":[]}']) {
    writeFileSync(file, text);
    expect(mistakesOf(env).join(), text).toContain("TANDEM_JWKS_FILE");
  }
});

test("one issuer only", () => {
  const env = { TANDEM_JWKS_URL: "https://i.example/jwks", TANDEM_JWT_ISSUER: "i", TANDEM_JWT_AUDIENCE: "a" };
  expect(mistakesOf({ ...env, TANDEM_JWKS_FILE: "x" }).join()).toContain("set only one of them");
  expect(mistakesOf({ ...env, TANDEM_ISSUE_TOKENS: "on" }).join()).toContain("there is only one issuer");
  expect(loadConfig({ ...env, TANDEM_JWKS_URL: "http://127.0.0.1:1/jwks" }).tokens.keys.kind).toBe("url");
});

test("reads who the platform is by certificate", () => {
  const { platformIdentities } = loadConfig({
    TANDEM_PLATFORM_IDENTITIES: "spiffe://p.example/ops=carriers.read carriers.write; dns:billing.p.example=usage.read",
  });
  expect(platformIdentities).toEqual(
    new Map([
      ["spiffe://p.example/ops", new Set(["carriers.read", "carriers.write"])],
      ["dns:billing.p.example", new Set(["usage.read"])],
    ]),
  );
});

test("reads who the platform is by token, as the text of an identity, and refuses what could be nobody", () => {
  const env = {
    TANDEM_JWKS_URL: "https://i.example/jwks",
    TANDEM_JWT_ISSUER: "https://i.example",
    TANDEM_JWT_AUDIENCE: "tandem",
  };
  const named = { ...env, TANDEM_PLATFORM_IDENTITIES: "jwt:https%3A%2F%2Fi.example:ops=cdrs.read; dns:Ops.Example=" };
  expect(loadConfig(named).platformIdentities).toEqual(
    new Map([
      ["jwt:https%3A%2F%2Fi.example:ops", new Set(["cdrs.read"])],
      ["dns:ops.example", new Set()],
    ]),
  );
  const identity = "jwt:https%3A%2F%2Fi.example:ops";
  for (const [identities, mistake] of [
    ["jwt:https%3A%2F%2Fother.example:ops=cdrs.read", "another issuer"],
    ["jwt:ops=cdrs.read", "expected spiffe"],
    ["jwt:https://i.example:ops=cdrs.read", "expected spiffe"],
    ["jwt:%E0%A4:ops=cdrs.read", "expected spiffe"],
    [`${identity}=cdrs.read;${identity}=cdrs.write`, "twice"],
  ] as const) {
    expect(mistakesOf({ ...env, TANDEM_PLATFORM_IDENTITIES: identities }).join(), identities).toContain(mistake);
  }
  expect(mistakesOf({ TANDEM_PLATFORM_IDENTITIES: `${identity}=cdrs.read` }).join()).toContain("TANDEM_JWKS_URL");
});

test("the platform's audience needs a JWKS, and is another than the carriers'", () => {
  const env = { TANDEM_JWKS_URL: "https://i.example/jwks", TANDEM_JWT_ISSUER: "i", TANDEM_JWT_AUDIENCE: "a" };
  expect(loadConfig({ ...env, TANDEM_JWT_PLATFORM_AUDIENCE: "p" }).tokens.platformAudience).toBe("p");
  expect(mistakesOf({ ...env, TANDEM_JWT_PLATFORM_AUDIENCE: "a" }).join()).toContain("must differ");
  expect(mistakesOf({ TANDEM_JWT_PLATFORM_AUDIENCE: "p" }).join()).toContain("TANDEM_JWKS_URL");
});

test("reads origins as browsers send them, and refuses what is none", () => {
  expect(loadConfig({}).corsOrigins).toEqual(new Set());
  expect(loadConfig({ TANDEM_CORS_ORIGINS: "https://a.example, http://localhost:5173" }).corsOrigins).toEqual(
    new Set(["https://a.example", "http://localhost:5173"]),
  );
  for (const origin of [
    "*",
    "null",
    "a.example",
    "https://a.example/",
    "https://a.example/console",
    "https://a.example:443",
    "https://A.example",
    "https://user@a.example",
    "file:///a",
  ]) {
    expect(mistakesOf({ TANDEM_CORS_ORIGINS: `https://b.example,${origin}` })).toEqual([
      `TANDEM_CORS_ORIGINS: expected origins such as https://console.example.com, not "${origin}"`,
    ]);
  }
  const many = Array.from({ length: 101 }, (_, index) => `https://c${index}.example`).join();
  expect(mistakesOf({ TANDEM_CORS_ORIGINS: many }).join()).toContain("at most 100");
});

test("a setting that is misspelt is a mistake, which names the nearest; for the commands that only call, too", () => {
  expect(mistakesOf({ TANDEM_PROT: "1", TANDEM_TEST_X: "1", PATH: "x" })).toEqual([
    "TANDEM_PROT: is not a setting; did you mean TANDEM_PORT?",
  ]);
  expect(mistakesOf({ TANDEM_SYNCRONOUS_COMMIT: "off" }).join()).toContain("did you mean TANDEM_SYNCHRONOUS_COMMIT?");
  expect(mistakesOf({ TANDEM_NO_SUCH_THING_AT_ALL: "x" }).join()).toContain("--help");
  expect(mistakesOf({ TANDEM_SERVICE_HOST: "10.0.0.1" }).join()).toContain("enableServiceLinks");
  expect(() => loadClientConfig({ TANDEM_TOKN: "x" })).toThrow("did you mean TANDEM_TOKEN?");
});

test("explains the variable that Kubernetes makes for a service of our name", () => {
  expect(mistakesOf({ TANDEM_PORT: "tcp://10.0.0.1:7443" }).join()).toContain("enableServiceLinks");
});

test("describes every setting", () => {
  for (const { variable, description } of describeSettings()) {
    expect(variable).toMatch(/^TANDEM_[A-Z_]+$/);
    expect(description.length, variable).toBeGreaterThan(10);
  }
});

test("docs/operations.md tells each limit's default as it is, and each limit that counts a caller", () => {
  const known = new Map(describeSettings().map(({ variable, default: value }) => [variable, value]));
  const rows = readFileSync("docs/operations.md", "utf8").matchAll(/^\| (`TANDEM_[^|]*) \| ([0-9][^|]*) \|/gm);
  const told = [...rows].flatMap(([, names = "", defaults = ""]) => {
    const [first = "", ...others] = names.split(", ").map((name) => name.replaceAll("`", ""));
    const variables = [first, ...others.map((name) => (name.startsWith("_") ? first + name : name))];
    const values = defaults.split(", ");
    return variables.map((variable, index) => [variable, values[index] ?? values[0] ?? ""] as const);
  });
  const untold = [...known.keys()].filter((name) => /^TANDEM_MAX_(?!FEED|UPLOAD|STREAM|STALL|MESSAGE)/.test(name));
  expect(told.map(([variable]) => variable)).toEqual(expect.arrayContaining(untold));
  for (const [variable, text] of told) {
    const [count = "", unit] = text.split(" ");
    expect(Number(known.get(variable)), variable).toBe(
      Number(count.replaceAll(",", "")) * (unit === "MiB" ? 1_048_576 : 1),
    );
  }
});

function mistakesOf(env: Record<string, string>): readonly string[] {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes;
    throw error;
  }
  return [];
}
