import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { RecordSideSchema } from "../gen/tandem/type/v1/discrepancy_pb.js";
import { CDR, DURATION } from "./record-kind.ts";

// The contract's enums are the domain's words. Nobody writes them a second time, and nobody below
// the services takes more of the generated code than them.

const SRC = new URL("../", import.meta.url);
const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
const contract = readContract();
const sources = files.filter((file) => !file.startsWith("gen/") && !file.endsWith(".test.ts")).map(readSource);

test("no enum of the contract is written a second time", () => {
  const copies = sources.flatMap(({ file, text }) =>
    [...text.matchAll(/\b(\w+)(?:: [^=\n]+)? = \{([^{}]*)\}/g)].flatMap(([, name, body]) => {
      const original = contract.find((each) => isCopy(membersOf(body ?? ""), each.members));
      return original ? [`${file}: ${name} is ${original.name}`] : [];
    }),
  );
  expect(copies).toEqual([]);
});

test("a copy is seen, and what only looks like one is none", () => {
  const found = (body: string) => contract.find(({ members }) => isCopy(membersOf(body), members))?.name;
  expect(found("ACTIVE: 1, RELEASED: 2, EXPIRED: 3")).toBe("HoldState");
  expect(found("UNSPECIFIED: 0,\n  PLATFORM: 1,\n  CARRIER: 2,")).toBeDefined();
  expect(found("REPORT: 1, VOID: 2, ERASURE: 3")).toBeUndefined();
  expect(found("first: 1, second: 2")).toBeUndefined();
});

test("the parts below the services take enums of the generated code, and messages where they turn them into records", () => {
  const enums = new Set(contract.map(({ name }) => name));
  const others = sources
    .filter(({ file }) => /^(domain|store|feed|erasure|upload|reconcile|jobs)\//.test(file))
    .filter(({ file }) => !/-codec\.ts$|^feed\/(\w+-feed|forwarded-batch)\.ts$|^upload\/records\//.test(file))
    .flatMap(({ file, text }) => importsOf(text).map((item) => ({ file, ...item })))
    // A record is checked as it was sent.
    .filter(({ file, isType }) => !(isType && file.startsWith("domain/calls/")))
    .filter(({ name }) => !enums.has(name));
  expect(others).toEqual([]);
});

test("a record's kind has the side that the contract gives it", () => {
  expect(RecordSideSchema.values.map(({ localName, number }) => [localName, number])).toEqual([
    ["UNSPECIFIED", 0],
    ["PLATFORM", CDR.side],
    ["CARRIER", DURATION.side],
  ]);
});

type Members = ReadonlyMap<string, number>;

// Some members may be missing, such as UNSPECIFIED; none is another.
function isCopy(members: Members, original: Members): boolean {
  return members.size >= 2 && [...members].every(([name, value]) => original.get(name) === value);
}

function membersOf(body: string): Members {
  const items = body.split(",").filter((item) => item.trim() !== "");
  const members = items.map((item) => /^\s*"?(\w+)"?: (\d+)\s*$/.exec(item));
  if (members.includes(null)) return new Map();
  return new Map(members.map((found) => [found?.[1] ?? "", Number(found?.[2])]));
}

function importsOf(text: string): { name: string; isType: boolean }[] {
  const imports = [...text.matchAll(/^import (type )?\{([^}]*)\} from "[^"]*\/gen\/[^"]*";/gm)];
  return imports.flatMap(([, type, names = ""]) =>
    names
      .split(",")
      .map((name) => name.trim())
      .filter((name) => name !== "")
      .map((name) => ({
        name: name.replace(/^type | as \w+$/g, ""),
        isType: type !== undefined || name.startsWith("type "),
      })),
  );
}

function readContract(): { name: string; members: Members }[] {
  const declarations = files.filter((file) => /^gen\/tandem\/.*_pb\.d\.ts$/.test(file)).map(readSource);
  return declarations.flatMap(({ text }) =>
    [...text.matchAll(/^export enum (\w+) \{([^}]*)\}/gm)].map(([, name = "", body = ""]) => ({
      name,
      members: membersOf(body.replaceAll(" = ", ": ")),
    })),
  );
}

// Without its comments.
function readSource(file: string): { file: string; text: string } {
  const text = readFileSync(new URL(file, SRC), "utf8");
  return { file, text: text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "") };
}
