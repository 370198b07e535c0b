import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type ConfigOverrides, loadConfig } from "../config/config.ts";
import { findExposures } from "./exposures.ts";

async function exposuresOf(settings: ConfigOverrides, files: Record<string, number> = {}) {
  const dataDir = await mkdtemp(join(tmpdir(), "tandem-exposed-"));
  try {
    for (const [name, mode] of Object.entries(files)) {
      await mkdir(join(dataDir, name, ".."), { recursive: true });
      await writeFile(join(dataDir, name), "x");
      await chmod(join(dataDir, name), mode);
    }
    const found = await findExposures(loadConfig({}, { dataDir, ...settings }));
    return found.map(({ where, problem }) => {
      const { file, mode, address } = where;
      return `${file === undefined ? address : `${file.slice(dataDir.length + 1)} ${mode}`}: ${problem}`;
    });
  } finally {
    await rm(dataDir, { recursive: true });
  }
}

const SECRETS = ["keys/signing.jwk", "erasures.key", "postgres/password", "postgres/password-service"];

test("secrets that are their owner's alone are not spoken of", async () => {
  expect(await exposuresOf({}, Object.fromEntries(SECRETS.map((name) => [name, 0o600])))).toEqual([]);
  expect(await exposuresOf({})).toEqual([]);
});

test.each([0o604, 0o602, 0o644, 0o666])("secrets that everybody can read or write are named, mode %o", async (mode) => {
  const found = await exposuresOf({}, Object.fromEntries(SECRETS.map((name) => [name, mode])));
  const problem = "others can read this secret: chmod 600 it, and replace it if they may have read it";
  expect(found.toSorted()).toEqual(SECRETS.map((name) => `${name} 0${mode.toString(8)}: ${problem}`).toSorted());
});

test("a secret that its group can read is named, unless it is root's and the group is ours, as orchestrators have it", async () => {
  const isRoot = process.getuid?.() === 0;
  const found = await exposuresOf({}, { "erasures.key": 0o440 });
  expect(found).toEqual(isRoot ? [] : [expect.stringMatching(/^erasures\.key 0440: others can read/)]);
});

test("only secrets that are in use are looked at", async () => {
  const outside = {
    databaseUrl: "postgresql://u:p@localhost/d",
    jwksUrl: "https://i.example/k",
    jwtIssuer: "i",
    jwtAudience: "a",
  };
  const files = { "keys/signing.jwk": 0o644, "postgres/password": 0o644 };
  expect(await exposuresOf(outside, files)).toEqual([]);
});

test("a folder of keys into which others can put files is named", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "tandem-exposed-"));
  try {
    await mkdir(join(dataDir, "keys"));
    for (const [mode, count] of [
      [0o700, 0],
      [0o755, 0],
      [0o733, 1],
      [0o777, 1],
    ] as const) {
      await chmod(join(dataDir, "keys"), mode);
      const found = await findExposures(loadConfig({}, { dataDir }));
      expect(found.filter(({ problem }) => problem.includes("put files into this folder"))).toHaveLength(count);
    }
  } finally {
    await rm(dataDir, { recursive: true });
  }
});

test("files that decide who is let in, and that others can change, are named", async () => {
  expect(await exposuresOf({}, { "keys/retired.json": 0o622 })).toEqual([
    "keys/retired.json 0622: others can change this file, which decides who is let in: chmod go-w it",
  ]);
  expect(await exposuresOf({}, { "keys/revoked": 0o646 })).toEqual([
    "keys/revoked 0646: others can change this file, which decides who is let in: chmod go-w it",
  ]);
  expect(await exposuresOf({}, { "keys/revoked": 0o644 })).toEqual([]);
});

test.each(["0.0.0.0", "::", "[::]", "0"])("metrics on every address are named: %s", async (metricsHost) => {
  const found = await exposuresOf({ metricsPort: 9_000, metricsHost });
  expect(found).toEqual([expect.stringMatching(/read metrics on every address.*TANDEM_METRICS_HOST/)]);
  expect(await exposuresOf({ metricsHost })).toEqual([]);
});

test("a port without TLS that others can reach is named, and an address of one's own for metrics is not", async () => {
  expect(await exposuresOf({ host: "0.0.0.0", allowCleartext: true, metricsPort: 9_000 })).toEqual([
    expect.stringMatching(/^0\.0\.0\.0: calls and tokens arrive without TLS/),
  ]);
  expect(await exposuresOf({ metricsPort: 9_000, metricsHost: "10.0.0.7" })).toEqual([]);
});

test("a database over the network without TLS is named", async () => {
  const base = { issueTokens: true };
  const of = (databaseUrl: string) => exposuresOf({ ...base, databaseUrl });
  for (const url of ["postgresql://u:p@db.example/t", "postgresql://u:p@db.example/t?sslmode=disable"])
    expect(await of(url)).toEqual([
      expect.stringMatching(/^db\.example: the connection to the database is not encrypted/),
    ]);
  for (const url of [
    "postgresql://u:p@db.example/t?sslmode=verify-full",
    "postgresql://u:p@127.0.0.1/t",
    "postgresql://u:p@localhost/t",
    "postgresql:///t?host=/var/run/postgresql",
  ])
    expect(await of(url)).toEqual([]);
});
