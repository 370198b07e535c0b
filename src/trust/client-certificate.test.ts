import { expect, test } from "vitest";
import { parseSubjectAltName } from "./client-certificate.ts";

test("takes SPIFFE ids and DNS names for identities, and nothing else", () => {
  expect(
    parseSubjectAltName(
      "DNS:a.example, URI:spiffe://b.example/c, IP Address:192.0.2.1, URI:https://d.example, email:e@f.example",
    ),
  ).toEqual([
    { kind: "dns", name: "a.example" },
    { kind: "spiffe", uri: "spiffe://b.example/c" },
  ]);
  expect(parseSubjectAltName("")).toEqual([]);
});

test("a name that contains another name is not two (CVE-2021-44532)", () => {
  // Node writes a value with a comma as a JSON string.
  expect(parseSubjectAltName('DNS:"evil.example, URI:spiffe://victim.example/x", DNS:ok.example')).toEqual([
    { kind: "dns", name: "evil.example, URI:spiffe://victim.example/x" },
    { kind: "dns", name: "ok.example" },
  ]);
});
