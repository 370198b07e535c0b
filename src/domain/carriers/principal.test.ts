import { expect, test } from "vitest";
import {
  type CarrierPrincipal,
  type CredentialIdentity,
  identityText,
  isSamePrincipal,
  type PlatformPrincipal,
  parseIdentityText,
} from "./principal.ts";

const acme: CarrierPrincipal = {
  kind: "carrier",
  carrierId: "acme",
  identity: "jwt:issuer:switch",
  standing: "registered",
};
const ops: PlatformPrincipal = {
  kind: "platform",
  identity: "jwt:issuer:switch",
  scopes: new Set(["cdrs.read", "parties.read"]),
};

test("a credential that is judged again shows the same principal with a later end, and no other", () => {
  expect(isSamePrincipal(acme, { ...acme, expiresAt: 7n })).toBe(true);
  expect(isSamePrincipal(ops, { ...ops, expiresAt: 7n })).toBe(true);
  expect(isSamePrincipal(acme, { ...acme, carrierId: "other" })).toBe(false);
  expect(isSamePrincipal(acme, { ...acme, identity: "dns:acme.example" })).toBe(false);
  expect(isSamePrincipal(ops, { ...ops, identity: "dns:ops.example" })).toBe(false);
  expect(isSamePrincipal(acme, ops)).toBe(false);
  expect(isSamePrincipal(ops, acme)).toBe(false);
});

test("a claimed carrier that is registered meanwhile is the same, and a registered one that only claims is not", () => {
  const claimed: CarrierPrincipal = { ...acme, standing: "claimed" };
  expect(isSamePrincipal(claimed, claimed)).toBe(true);
  expect(isSamePrincipal(claimed, acme)).toBe(true);
  expect(isSamePrincipal(acme, claimed)).toBe(false);
});

test("the platform with more scopes is the same, and with one less it is not", () => {
  expect(isSamePrincipal(ops, { ...ops, scopes: new Set([...ops.scopes, "usage.read"] as const) })).toBe(true);
  expect(isSamePrincipal(ops, { ...ops, scopes: new Set(["cdrs.read"] as const) })).toBe(false);
});

test("an identity's text is read back as it was", () => {
  const identities: readonly CredentialIdentity[] = [
    { kind: "jwt", issuer: "https://issuer.example/a:b", subject: "auth0|x;y=z" },
    { kind: "spiffe", uri: "spiffe://carrier.example/tandem" },
    { kind: "dns", name: "tandem.carrier.example" },
  ];
  for (const identity of identities) expect(parseIdentityText(identityText(identity))).toEqual(identity);
});
