import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CdrService } from "../../src/gen/tandem/platform/v1/cdr_service_pb.js";
import { NumberService } from "../../src/gen/tandem/platform/v1/number_service_pb.js";
import { writeCredentials } from "../../src/store/carriers.ts";
import { systemTransaction } from "../../src/store/database.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { addCarrier } from "../support/carriers.ts";
import { createIssuer, type TestIssuer } from "../support/issuer.ts";
import { reasonOf } from "../support/refusal.ts";

let issuer: TestIssuer;
let app: TestApp;
beforeAll(async () => {
  issuer = await createIssuer();
  app = await startTestApp({ ...issuer.settings, accessCacheMs: 0, reconcileIntervalMs: 0 });
});
afterAll(async () => {
  await app?.[Symbol.asyncDispose]();
  await issuer?.[Symbol.asyncDispose]();
});

const jwt = (subject: string) => ({ kind: "jwt", issuer: issuer.name, subject }) as const;

test("a carrier's token with scopes of the platform reaches nothing of the platform's, registered, expired or removed", async () => {
  const acme = await addCarrier(app.services.db, "acme", { credentials: [{ identity: jwt("switch") }] });
  const rewrite = (credentials: typeof acme.credentials) =>
    systemTransaction(app.services.db, (tx) => writeCredentials(tx, { ...acme, credentials }));
  expect(await platformReasons("switch")).toEqual(["PERMISSION_DENIED", "PERMISSION_DENIED"]);
  await rewrite([{ identity: jwt("switch"), expireTime: 1n }]);
  expect(await platformReasons("switch")).toEqual(["UNAUTHENTICATED", "UNAUTHENTICATED"]);
  await rewrite([]);
  expect(await platformReasons("switch")).toEqual(["UNAUTHENTICATED", "UNAUTHENTICATED"]);
});

test("a subject that nobody has registered is nobody, whatever scopes its token has", async () => {
  expect(await platformReasons("stranger")).toEqual(["UNAUTHENTICATED", "UNAUTHENTICATED"]);
});

async function platformReasons(subject: string): Promise<string[]> {
  const token = await issuer.sign({ sub: subject, scope: "cdrs.read numbers.read" });
  const transport = app.connect(token);
  return [
    await reasonOf(createClient(CdrService, transport).listCdrs({ carrierId: "acme", pageSize: 1 })),
    await reasonOf(createClient(NumberService, transport).listNumbers({ carrierId: "acme" })),
  ];
}
