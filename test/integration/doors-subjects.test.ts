import { randomUUID } from "node:crypto";
import { type Client, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { identityText } from "../../src/domain/carriers/principal.ts";
import { BadRequestSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
import { CdrService } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { NumberService } from "../../src/gen/tandem/platform/v1/platform_number_service_pb.js";
import { writeCredentials } from "../../src/store/carriers/carriers.ts";
import { openDatabase, ownerTransaction, systemTransaction } from "../../src/store/database/database.ts";
import { readRows } from "../../src/store/database/run.ts";
import * as carrierIdentities from "../../src/store/migrations/0009-carrier-identities.ts";
import { addCarrier } from "../support/carriers.ts";
import { runCli } from "../support/cli.ts";
import { createMigratedDatabase } from "../support/database.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { createIssuer, type TestIssuer } from "../support/issuer.ts";
import { reasonOf, refusalOf } from "../support/refusal.ts";

let issuer: TestIssuer;
let app: Exchange;
beforeAll(async () => {
  issuer = await createIssuer();
  app = await startExchange({ ...issuer.settings, accessCacheMs: 0, reconcileIntervalMs: 0 });
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

test("a server that believes an issuer and is told of no subject of the platform says so at its start", () => {
  expect(app.logged.filter((line) => line.includes("no token is the platform's"))).toHaveLength(1);
});

test("an identity that is or was a carrier's can never be the platform's: no process starts with it", async () => {
  const names = [
    jwt("held"),
    { kind: "dns", name: "held.example" },
    { kind: "spiffe", uri: "spiffe://held.example/x" },
  ] as const;
  await using database = await createMigratedDatabase();
  await using db = openDatabase({ url: database.url });
  const held = await addCarrier(db, "holder", { credentials: names.map((identity) => ({ identity })) });
  const platformIdentities = names.map((identity) => `${identityText(identity)}=cdrs.read`).join(";");
  const start = async () => {
    await using _ = await startExchange({ ...issuer.settings, databaseUrl: database.url, platformIdentities });
  };
  const mistakes = names.map((identity) => expect.stringContaining(`${identityText(identity)} is or was`));
  await expect(start()).rejects.toMatchObject({ name: "ConfigError", mistakes: expect.arrayContaining(mistakes) });
  await systemTransaction(db, (tx) => writeCredentials(tx, { ...held, credentials: [] }));
  await expect(start()).rejects.toMatchObject({ name: "ConfigError", mistakes: expect.arrayContaining(mistakes) });
});

test("an identity of the platform cannot be given to a carrier", async () => {
  const platform = [jwt("ops"), { kind: "dns", name: "ops.example" }] as const;
  const settings = platform.map((identity) => `${identityText(identity)}=carriers.read carriers.write`).join(";");
  await using outside = await startExchange({ ...issuer.settings, platformIdentities: settings });
  const carriers = createClient(CarrierService, outside.connect(await issuer.sign({ sub: "ops" })));
  const own = { identity: jwtMessage(issuer.name, "switch") };
  const credentialIdentities = [
    { identity: jwtMessage(issuer.name, "ops") },
    { identity: { case: "dnsName", value: "ops.example" } as const },
    own,
  ];
  const violations = async (call: Promise<unknown>) =>
    (await refusalOf(call))?.findDetails(BadRequestSchema)[0]?.fieldViolations.map(({ field }) => field);
  const fields = ["carrier.credential_identities[0]", "carrier.credential_identities[1]"];
  expect(await violations(createAcme(carriers, credentialIdentities))).toEqual(fields);
  await createAcme(carriers, [own]);
  expect(await violations(updateAcme(carriers, credentialIdentities))).toEqual(fields);
});

test("a command shows the token of a subject that the settings name, though the token names no scope", async () => {
  const platformIdentities = `${identityText(jwt("ops"))}=carriers.read`;
  await using outside = await startExchange({ ...issuer.settings, platformIdentities });
  const settings = { TANDEM_URL: outside.url, TANDEM_TOKEN: await issuer.sign({ sub: "ops" }) };
  expect(await runCli(["carriers", "list"], settings)).toMatchObject({ code: 0, messages: "" });
});

test("with the own key, the subjects of the command line's tokens cannot be given to a carrier", async () => {
  await using own = await startExchange();
  const carriers = createClient(CarrierService, own.connect(await own.platformToken()));
  for (const subject of ["platform", "command-line", "cli:alice"]) {
    const identity = jwtMessage("tandem", subject);
    expect(await reasonOf(createAcme(carriers, [{ identity }])), subject).toBe("INVALID_ARGUMENT");
  }
});

test("what was registered or removed before the server kept such identities is filled in by the migration", async () => {
  await using own = await startExchange();
  const { db } = own.services;
  const carriers = createClient(CarrierService, own.connect(await own.platformToken()));
  const [old, kept] = ["old.example", "kept.example"].map((value) => ({
    identity: { case: "dnsName", value } as const,
  }));
  if (!old || !kept) throw new Error("no identities");
  await createAcme(carriers, [old, kept]);
  await updateAcme(carriers, [kept]);
  await addCarrier(db, "other", { credentials: [{ identity: { kind: "dns", name: "other.example" } }] });
  await ownerTransaction(db, (tx) => tx.schema.dropTable("carrier_identity").execute());
  await carrierIdentities.up(db.kysely as never);
  const known = await systemTransaction(
    db,
    (tx) => readRows(tx)`SELECT identity, carrier_id FROM carrier_identity ORDER BY identity`,
  );
  expect(known).toEqual([
    { identity: "dns:kept.example", carrierId: "acme" },
    { identity: "dns:old.example", carrierId: "acme" },
    { identity: "dns:other.example", carrierId: "other" },
  ]);
});

type Identities = NonNullable<
  Parameters<Client<typeof CarrierService>["createCarrier"]>[0]["carrier"]
>["credentialIdentities"];

function jwtMessage(name: string, subject: string) {
  return { case: "jwt", value: { issuer: name, subject } } as const;
}

function createAcme(carriers: Client<typeof CarrierService>, credentialIdentities: Identities) {
  const basics = { displayName: "Acme", legalCountry: "DK", timeZone: "Europe/Copenhagen", region: "eu" };
  const carrier = { ...basics, ...(credentialIdentities && { credentialIdentities }) };
  return carriers.createCarrier({ requestId: randomUUID(), carrierId: "acme", carrier });
}

function updateAcme(carriers: Client<typeof CarrierService>, credentialIdentities: Identities) {
  return carriers.updateCarrier({
    requestId: randomUUID(),
    carrier: { carrierId: "acme", ...(credentialIdentities && { credentialIdentities }) },
    updateMask: { paths: ["credential_identities"] },
  });
}

async function platformReasons(subject: string): Promise<string[]> {
  const token = await issuer.sign({ sub: subject, scope: "cdrs.read numbers.read" });
  const transport = app.connect(token);
  return [
    await reasonOf(createClient(CdrService, transport).listCdrs({ carrierId: "acme", pageSize: 1 })),
    await reasonOf(createClient(NumberService, transport).listNumbers({ carrierId: "acme" })),
  ];
}
