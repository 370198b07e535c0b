import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { listMethods } from "../../../../test/support/contract.ts";
import { UNMASKED_STREAMS } from "./mask-interceptor.ts";
import { CLASSES } from "./string-fields.ts";

const METHODS = [...(await listMethods("platform")), ...(await listMethods("carrier"))];

test("every text that an answer can hold has a class, so that a new one is thought about, and no class is of a field that is gone", () => {
  const fields = new Map<string, DescField>();
  const seen = new Set<string>();
  const collect = (message: DescMessage) => {
    if (seen.has(message.typeName)) return;
    seen.add(message.typeName);
    for (const field of message.fields) {
      if (field.message) collect(field.message);
      else if (isText(field)) fields.set(`${field.parent.typeName}.${field.name}`, field);
    }
  };
  for (const { output } of METHODS) collect(output);
  const names = [...fields.keys()].sort();
  expect(names.length).toBeGreaterThan(150);
  expect(names.filter((name) => CLASSES.get(name) === undefined)).toEqual([]);
  expect([...CLASSES.keys()].sort()).toEqual(names);
});

test("no answer has a map, which masking does not look into", () => {
  for (const { output } of METHODS) for (const field of output.fields) expect(field.fieldKind).not.toBe("map");
});

test("every stream to the platform has said how it is masked", () => {
  const streams = METHODS.filter(
    ({ methodKind, parent }) => methodKind !== "unary" && parent.typeName.includes("platform"),
  );
  expect(streams.length).toBeGreaterThan(2);
  for (const stream of streams) expect(UNMASKED_STREAMS.has(stream.output.typeName), stream.name).toBe(true);
});

function isText(field: DescField): boolean {
  return field.scalar === ScalarType.STRING || field.scalar === ScalarType.BYTES;
}
