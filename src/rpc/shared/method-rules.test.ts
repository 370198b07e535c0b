import { glob } from "node:fs/promises";
import { join } from "node:path";
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { isPlatformScope } from "../../domain/carriers/scopes.ts";
import { accessRuleOf } from "./method-rules.ts";

const gen = join(import.meta.dirname, "../../gen");

test("every method of the contract has a rule, of the principal that its package is for", async () => {
  const methods = await listMethods("tandem/**/*_service_pb.js");
  expect(methods.length).toBeGreaterThan(40);
  for (const method of methods) {
    const rule = accessRuleOf(method);
    const principal = method.parent.typeName.startsWith("tandem.carrier.") ? "carrier" : "platform";
    expect(rule?.principal, nameOf(method)).toBe(principal);
    if (rule?.principal === "platform") expect(isPlatformScope(rule.scope)).toBe(true);
  }
});

test("anyone may ask for health and reflection, in every version", async () => {
  for (const method of await listMethods("grpc/**/*_pb.js"))
    expect(accessRuleOf(method), nameOf(method)).toEqual({ principal: "anyone" });
});

test("only GetAgreement is open to a suspended carrier", async () => {
  const open = (await listMethods("tandem/carrier/**/*_service_pb.js")).filter((method) => {
    const rule = accessRuleOf(method);
    return rule?.principal === "carrier" && rule.evenSuspended;
  });
  expect(open.map(nameOf)).toEqual(["tandem.carrier.v1.AgreementService/GetAgreement"]);
});

test("a platform method that changes something needs a scope to write", async () => {
  for (const method of await listMethods("tandem/platform/**/*_service_pb.js")) {
    const rule = accessRuleOf(method);
    const isRead = /^(Get|List|Query|Export|Explain|Verify)/.test(method.name);
    expect(rule?.principal === "platform" && rule.scope.endsWith(".read"), nameOf(method)).toBe(isRead);
  }
});

async function listMethods(pattern: string): Promise<DescMethod[]> {
  const methods: DescMethod[] = [];
  for await (const file of glob(pattern, { cwd: gen })) {
    for (const exported of Object.values((await import(join(gen, file))) as object)) {
      if (isService(exported)) methods.push(...exported.methods);
    }
  }
  return methods;
}

function isService(exported: unknown): exported is DescService {
  return (exported as { kind?: unknown }).kind === "service";
}

function nameOf(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`;
}
