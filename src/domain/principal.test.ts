import { expect, test } from "vitest";
import { type CarrierPrincipal, isSamePrincipal, type PlatformPrincipal } from "./principal.ts";

const carrier: CarrierPrincipal = { kind: "carrier", carrierId: "acme", identity: "dns:a", standing: "registered" };
const platform: PlatformPrincipal = { kind: "platform", identity: "dns:a", scopes: new Set() };

test("a credential shows the same principal while kind, carrier and name are the same, whenever it ends", () => {
  expect(isSamePrincipal(carrier, { ...carrier, expiresAt: 1n })).toBe(true);
  expect(isSamePrincipal(platform, { ...platform, expiresAt: 1n })).toBe(true);
  expect(isSamePrincipal(carrier, { ...carrier, carrierId: "other" })).toBe(false);
  expect(isSamePrincipal(carrier, { ...carrier, identity: "dns:b" })).toBe(false);
  expect(isSamePrincipal(carrier, platform)).toBe(false);
  expect(isSamePrincipal(platform, carrier)).toBe(false);
});

test("who was registered is not the same by a claim alone; who claimed may have been registered since", () => {
  expect(isSamePrincipal(carrier, { ...carrier, standing: "claimed" })).toBe(false);
  expect(isSamePrincipal({ ...carrier, standing: "claimed" }, carrier)).toBe(true);
});
