import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { canonicalJson } from "../../src/domain/privacy/audit.ts";
import { microsFromMs } from "../../src/domain/time/instant.ts";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { type AuditEvent, AuditEventSchema, AuditOutcome } from "../../src/gen/tandem/platform/v1/audit_event_pb.js";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
import { NumberService as PlatformNumberService } from "../../src/gen/tandem/platform/v1/platform_number_service_pb.js";
import {
  AuditBreakKind,
  type ListAuditEventsRequestSchema,
  PrivacyService,
  type VerifyAuditLogRequestSchema,
} from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { UsageService } from "../../src/gen/tandem/platform/v1/usage_service_pb.js";
import { RecordPart } from "../../src/gen/tandem/type/v1/agreement_pb.js";
import { isAdministrativeAct } from "../../src/rpc/shared/audit/administrative-acts.ts";
import { KIND_ALLOWANCE } from "../../src/rpc/shared/audit/refusal-budget.ts";
import { deleteAuditEvents } from "../../src/store/audit/audit-events.ts";
import { appendAuditEvent } from "../../src/store/audit/audit-log.ts";
import { carrierTransaction, ownerTransaction, systemTransaction } from "../../src/store/database/database.ts";
import { rotateEpochs } from "../../src/store/feeds/epochs.ts";
import { verifyAuditChains } from "../../src/store/verify/verify-audit.ts";
import { addCarrier } from "../support/carriers.ts";
import { runCli } from "../support/cli.ts";
import { listMethods } from "../support/contract.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { EVENTUALLY_MS } from "../support/limits.ts";
import { fromNow, newRequestId, provisionItem, takeNumber, takeNumbers } from "../support/numbers.ts";
import { reasonOf } from "../support/refusal.ts";
import { policyOf } from "../support/retention.ts";

let app: Exchange;
let privacy: Client<typeof PrivacyService>;
let carriers: Client<typeof CarrierService>;
let platformNumbers: Client<typeof PlatformNumberService>;

beforeAll(async () => {
  app = await startExchange({ accessCacheMs: 0, reconcileIntervalMs: 0 });
  const transport = app.connect(await app.platformToken());
  privacy = createClient(PrivacyService, transport);
  carriers = createClient(CarrierService, transport);
  platformNumbers = createClient(PlatformNumberService, transport);
});
afterAll(() => app[Symbol.asyncDispose]());

describe("Accountability: an administrative act is an audit event", () => {
  test("of a carrier that is created and changed, with the fields by path and without their values", async () => {
    const requestId = "create-acme";
    const identity = { identity: { case: "dnsName" as const, value: "acme.example" } };
    const create = { requestId, carrierId: "acme", carrier: { ...CARRIER, credentialIdentities: [identity] } };
    await carriers.createCarrier(create);
    // A repeat does nothing, and is no act.
    await carriers.createCarrier(create);
    const changes = {
      carrierId: "acme",
      displayName: "Acme",
      tolerances: { durationMs: 1_500n },
      state: 2,
      credentialIdentities: [],
    };
    const paths = ["display_name", "tolerances.duration_ms", "state", "credential_identities", "region"];
    const carrier = { ...changes, region: "eu" };
    await carriers.updateCarrier({ requestId: newRequestId(), carrier, updateMask: { paths } });
    const events = await eventsOf("acme");
    expect(events).toMatchObject([
      {
        carrierId: "acme",
        sequence: 1n,
        actor: PLATFORM,
        method: "tandem.platform.v1.CarrierService/CreateCarrier",
        resource: "carrier/acme",
        outcome: AuditOutcome.DONE,
        requestId,
      },
      {
        sequence: 2n,
        method: "tandem.platform.v1.CarrierService/UpdateCarrier",
        changedFields: ["credential_identities", "display_name", "state", "tolerances.duration_ms"],
      },
    ]);
    expect(events[0]?.changedFields).toEqual(expect.arrayContaining(["legal_country", "credential_identities"]));
    expect(events[0]?.detailsJson).toBe('{"credentials_added":["dns:acme.example"],"revision":"1","suspended":false}');
    expect(events[1]?.detailsJson).toBe('{"credentials_removed":["dns:acme.example"],"revision":"2","suspended":true}');
    const said = events.map(({ changedFields, detailsJson }) => [...changedFields, detailsJson].join());
    expect(said.join()).not.toMatch(/1500|Acme/);
  });

  test("of numbers: how many, and which of them were refused, but never one of them", async () => {
    const [losing, gaining] = [await newCarrier(), await newCarrier()];
    const numbers = takeNumbers(3);
    const client = await numbersOf(losing);
    const items = numbers.map((number) => provisionItem(number));
    await client.provisionNumbers({ requestId: newRequestId(), items: [...items, provisionItem("+4599")] });
    // All are as they should be: nothing is done.
    await client.provisionNumbers({ requestId: newRequestId(), items });
    const assigned = numbers.slice(0, 2).map((phoneNumber) => ({ phoneNumber, customerId: "cedar", assigneeKind: 1 }));
    await platformNumbers.assignNumbers({ requestId: newRequestId(), carrierId: losing, items: assigned });
    const [one = "", two = "", three = ""] = numbers;
    await platformNumbers.unassignNumbers({ requestId: newRequestId(), carrierId: losing, phoneNumbers: [one] });
    await client.releaseNumbers({ requestId: newRequestId(), phoneNumbers: [three] });
    const port = { carrierId: losing, toCarrierId: gaining, effectiveTime: fromNow(0) };
    await platformNumbers.portNumbers({ requestId: newRequestId(), phoneNumbers: [two], ...port });
    const events = await eventsOf(losing);
    expect(events.map(describeEvent)).toEqual([
      "NumberService/ProvisionNumbers numbers/4 DONE {changed:3,refused:{NUMBER_INVALID:1}}",
      "NumberService/AssignNumbers numbers/2 DONE {changed:2}",
      "NumberService/UnassignNumbers numbers/1 DONE {changed:1}",
      "NumberService/ReleaseNumbers numbers/1 DONE {changed:1}",
      expect.stringMatching(/^NumberService\/PortNumbers numbers\/1 DONE \{changed:1,effective_time:.*,to_carrier_id/),
    ]);
    expect(events[0]).toMatchObject({ actor: `jwt:tandem:${losing}` });
    expect(events[1]).toMatchObject({ actor: PLATFORM, changedFields: ["assignee_kind", "customer_id"] });
    // The carrier that gains them is told by whom and from where, with the arrival.
    expect((await eventsOf(gaining)).map(describeEvent)).toEqual([
      `NumberService/PortNumbers numbers/1 DONE {changed:1,from_carrier_id:${losing}}`,
    ]);
    expect((await eventsOf(gaining))[0]?.actor).toBe(PLATFORM);
    const told = JSON.stringify([await eventsOf(losing), await eventsOf(gaining)], bigintText);
    for (const number of numbers) expect(told).not.toContain(number.slice(3));
  });

  test("of every answer that tells a carrier that a number is another's", async () => {
    const [owner, prober] = [await newCarrier(), await newCarrier()];
    const number = takeNumber();
    const items = [provisionItem(number)];
    await (await numbersOf(owner)).provisionNumbers({ requestId: newRequestId(), items });
    const client = await numbersOf(prober);
    const probes = KIND_ALLOWANCE + 2;
    for (let at = 0; at < probes; at++) await client.provisionNumbers({ requestId: newRequestId(), items });
    await client.provisionNumbers({ requestId: newRequestId(), items: [...items, provisionItem(takeNumber())] });
    const events = await eventsOf(prober);
    expect(events.slice(0, probes).map(describeEvent)).toEqual(
      Array(probes).fill(
        "NumberService/ProvisionNumbers numbers/1 REFUSED NUMBER_UNAVAILABLE {changed:0,refused:{NUMBER_UNAVAILABLE:1}}",
      ),
    );
    expect(events.slice(probes).map(describeEvent)).toEqual([
      "NumberService/ProvisionNumbers numbers/2 DONE {changed:1,refused:{NUMBER_UNAVAILABLE:1}}",
    ]);
  });

  test("of a closed period and of new epochs, in the platform's chain", async () => {
    const usage = createClient(UsageService, app.connect(await app.platformToken()));
    const period = { customerId: "cedar-bank", startDate: "2026-01-01", endDate: "2026-02-01", timeZone: "Etc/UTC" };
    const { period: closed } = await usage.closePeriod({ requestId: newRequestId(), ...period });
    await rotateEpochs(app.services.db, "cli:someone");
    const events = (await eventsOf("")).filter(({ outcome }) => outcome === AuditOutcome.DONE);
    expect(events.map(describeEvent)).toEqual([
      `UsageService/ClosePeriod period/${closed?.periodId} DONE {customer_id:cedar-bank,end_date:2026-02-01,start_date:2026-01-01,time_zone:Etc/UTC}`,
      expect.stringMatching(/^cli\/epoch rotate feeds DONE \{carriers:\d+\}$/),
    ]);
    expect(events[0]).not.toHaveProperty("carrierId");
    expect(events[1]?.actor).toBe("cli:someone");
  });
});

test("Accountability: no administrative act of the contract is left out", async () => {
  const carrierId = await newCarrier();
  await privacy.setRetentionPolicy(policyOf("DK", carrierId, RecordPart.CALL, 500));
  const target = { case: "period" as const, value: { startDate: "2026-01-01", endDate: "2026-01-02" } };
  const details = { reason: 1, caseReference: "case 1", owner: "disputes", endTime: fromNow(86_400_000) };
  const { hold } = await privacy.createHold({ requestId: newRequestId(), hold: { carrierId, target, ...details } });
  await privacy.releaseHold({ requestId: newRequestId(), holdId: hold?.holdId ?? "", releaseNote: "settled" });
  const period = { startTime: fromNow(-86_400_000), endTime: fromNow(-1_000), role: 1 };
  const subject = { phoneNumber: takeNumber(), ...period, caseReference: "case 2", verifiedBy: "desk" };
  await privacy.erasePhoneNumber({ requestId: newRequestId(), ...subject });
  await Array.fromAsync(privacy.exportPhoneNumber(subject));
  await carriers.setNumberRanges({ requestId: newRequestId(), carrierId, prefixes: ["+4588"] });
  await carriers.setNumberRanges({ requestId: newRequestId(), carrierId });
  const methods = [...(await listMethods("carrier")), ...(await listMethods("platform"))];
  const acts = methods.filter(isAdministrativeAct).map((method) => `${method.parent.typeName}/${method.name}`);
  const { rows } = await app.services.db.pool.query<{ method: string }>(
    "SELECT DISTINCT method FROM audit_event WHERE outcome = 1",
  );
  expect(rows.map(({ method }) => method)).toEqual(expect.arrayContaining(acts));
});

describe("Accountability: an act that was refused is an audit event too", () => {
  test("with the reason, where it would have been told, and nothing of what was asked for", async () => {
    const carrierId = await newCarrier();
    const reader = createClient(CarrierService, app.connect(await app.platformToken(["carriers.read"])));
    const carrier = { carrierId, displayName: "another name" };
    const update = { carrier, updateMask: { paths: ["display_name"] } };
    expect(await reasonOf(reader.updateCarrier({ requestId: newRequestId(), ...update }))).toBe("PERMISSION_DENIED");
    const stale = { requestId: "stale", ...update, expectedRevision: 7n };
    expect(await reasonOf(carriers.updateCarrier(stale))).toBe("REVISION_MISMATCH");
    const intruder = createClient(CarrierService, app.connect(await app.carrierToken(carrierId)));
    expect(await reasonOf(intruder.updateCarrier({ requestId: newRequestId(), ...update }))).toBe("PERMISSION_DENIED");
    const unknown = { ...update, carrier: { ...carrier, carrierId: "nobody-at-all" } };
    expect(await reasonOf(carriers.updateCarrier({ requestId: "unknown", ...unknown }))).toBe("CARRIER_NOT_FOUND");
    const port = { carrierId, toCarrierId: carrierId, effectiveTime: { seconds: nowS() } };
    const number = takeNumber();
    const ported = platformNumbers.portNumbers({ requestId: number, phoneNumbers: [number], ...port });
    expect(await reasonOf(ported)).toBe("INVALID_ARGUMENT");
    await (await numbersOf(carrierId)).releaseNumbers({ requestId: "nothing", phoneNumbers: [number] });

    expect((await eventsOf(carrierId)).map(describeEvent)).toEqual([
      `CarrierService/UpdateCarrier carrier/${carrierId} REFUSED REVISION_MISMATCH {}`,
      "CarrierService/UpdateCarrier carrier REFUSED PERMISSION_DENIED {}",
      "NumberService/PortNumbers numbers/1 REFUSED INVALID_ARGUMENT {}",
      "NumberService/ReleaseNumbers numbers/1 REFUSED NUMBER_NOT_FOUND {changed:0,refused:{NUMBER_NOT_FOUND:1}}",
    ]);
    expect((await eventsOf(carrierId))[0]).toMatchObject({ actor: PLATFORM, requestId: "stale" });
    expect(await reasonOf(privacy.exportPhoneNumber({ phoneNumber: number }))).toBe("INVALID_ARGUMENT");
    const refused = (await eventsOf("")).filter(({ outcome }) => outcome === AuditOutcome.REFUSED).map(describeEvent);
    expect(refused).toEqual(
      expect.arrayContaining([
        "CarrierService/UpdateCarrier carrier REFUSED PERMISSION_DENIED {}",
        "CarrierService/UpdateCarrier carrier/nobody-at-all REFUSED CARRIER_NOT_FOUND {}",
        "PrivacyService/ExportPhoneNumber export REFUSED INVALID_ARGUMENT {}",
      ]),
    );
  });

  test("but not without limit: a flood is counted, and not written", async () => {
    const carrierId = await newCarrier();
    const client = await numbersOf(carrierId);
    const flood = Array.from({ length: 40 }, () => client.releaseNumbers({ requestId: "", phoneNumbers: [] }));
    expect(await Promise.all(flood.map(reasonOf))).toEqual(Array(40).fill("INVALID_ARGUMENT"));
    expect((await eventsOf(carrierId)).map(describeEvent)).toEqual(
      Array(KIND_ALLOWANCE).fill("NumberService/ReleaseNumbers numbers/0 REFUSED INVALID_ARGUMENT {}"),
    );
  });

  test("and what failed by a fault says so, without what the fault was", async () => {
    const carrierId = await newCarrier();
    await app.services.db.pool.query("ALTER TABLE number_entry RENAME TO number_entry_gone");
    try {
      const items = [provisionItem(takeNumber())];
      const call = (await numbersOf(carrierId)).provisionNumbers({ requestId: "failing", items });
      expect(await reasonOf(call)).toBe("INTERNAL");
    } finally {
      await app.services.db.pool.query("ALTER TABLE number_entry_gone RENAME TO number_entry");
    }
    expect((await eventsOf(carrierId)).map(describeEvent)).toEqual([
      "NumberService/ProvisionNumbers numbers/1 FAILED INTERNAL {}",
    ]);
  });
});

test("Accountability: an act and its event are there together, or neither is", async () => {
  const { db } = app.services;
  const carrierId = await newCarrier();
  const failing = carrierTransaction(db, carrierId, async (tx) => {
    await appendAuditEvent(tx, actOf(carrierId));
    throw new Error("the act fails");
  });
  await expect(failing).rejects.toThrow("the act fails");
  expect(await eventsOf(carrierId)).toEqual([]);
  // The chain cannot be told of: nor is the act done.
  const number = takeNumber();
  await db.pool.query(
    `INSERT INTO audit_event SELECT '${carrierId}', 1, event_time, actor, method, resource, outcome, error_reason, request_id, changed_fields,
       details_json, previous_hash, entry_hash FROM audit_event LIMIT 1`,
  );
  const client = await numbersOf(carrierId);
  const items = [provisionItem(number)];
  expect(await reasonOf(client.provisionNumbers({ requestId: newRequestId(), items }))).toBe("INTERNAL");
  expect(await reasonOf(client.getNumber({ phoneNumber: number }))).toBe("NUMBER_NOT_FOUND");
});

test("Accountability: a chain is dense and in the order of its times, however many append at once", async () => {
  const { db } = app.services;
  const carrierId = await newCarrier();
  const appends = Array.from({ length: 30 }, (_, at) =>
    at % 2
      ? systemTransaction(db, (tx) => appendAuditEvent(tx, actOf(carrierId)))
      : carrierTransaction(db, carrierId, (tx) => appendAuditEvent(tx, actOf(carrierId))),
  );
  await Promise.all(appends);
  const events = await eventsOf(carrierId);
  expect(events.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 30 }, (_, at) => BigInt(at + 1)));
  const times = events.map(
    ({ eventTime }) => (eventTime?.seconds ?? 0n) * 1_000_000_000n + BigInt(eventTime?.nanos ?? 0),
  );
  expect(times).toEqual(times.toSorted((a, b) => (a < b ? -1 : 1)));
  expect(await verify({ carrierId })).toMatchObject({ intact: true, verifiedCount: 30n });
});

test("Accountability: anyone can compute the hashes from what ListAuditEvents answers", async () => {
  const events = await eventsOf("acme");
  let previous: Uint8Array = new Uint8Array(32);
  for (const event of events) {
    const { entryHash: _, ...hashed } = toJson(AuditEventSchema, event) as Record<string, unknown>;
    const hash = createHash("sha256").update(previous).update(canonicalJson(hashed)).digest();
    expect(Buffer.from(event.entryHash)).toEqual(hash);
    expect(Buffer.from(event.previousHash)).toEqual(Buffer.from(previous));
    previous = event.entryHash;
  }
  expect(events.length).toBeGreaterThan(1);
});

describe("Accountability: ListAuditEvents", () => {
  test("pages through a chain, by time, actor and method, and through one chain only", async () => {
    const carrierId = await newCarrier();
    const marks: bigint[] = [];
    for (const actor of ["a", "b", "a", "c"]) {
      const event = await systemTransaction(app.services.db, (tx) =>
        appendAuditEvent(tx, { ...actOf(carrierId), actor, method: `m/${actor}` }),
      );
      marks.push(event.eventTime);
    }
    const list = async (request: MessageInitShape<typeof ListAuditEventsRequestSchema>) =>
      (await privacy.listAuditEvents({ carrierId, ...request })).events.map(({ sequence }) => Number(sequence));
    expect(await list({})).toEqual([1, 2, 3, 4]);
    expect(await list({ actor: "a" })).toEqual([1, 3]);
    expect(await list({ method: "m/c" })).toEqual([4]);
    expect(await list({ startTime: at(marks[1]), endTime: at(marks[3]) })).toEqual([2, 3]);
    const first = await privacy.listAuditEvents({ carrierId, pageSize: 3 });
    expect(await list({ pageSize: 3, pageToken: first.nextPageToken })).toEqual([4]);
    const elsewhere = { pageSize: 3, pageToken: first.nextPageToken };
    expect(await reasonOf(privacy.listAuditEvents(elsewhere))).toBe("PAGE_TOKEN_INVALID");
    expect(await reasonOf(privacy.listAuditEvents({ carrierId: "nobody-at-all" }))).toBe("CARRIER_NOT_FOUND");
    expect(await reasonOf(privacy.listAuditEvents({ carrierId: "NO" }))).toBe("INVALID_ARGUMENT");
    expect(await reasonOf(list({ startTime: at(marks[1]), endTime: at(marks[1]) }))).toBe("INVALID_ARGUMENT");
    expect(await reasonOf(list({ actor: "\0" }))).toBe("INVALID_ARGUMENT");
  });
});

describe("Accountability: VerifyAuditLog finds a chain that is", () => {
  test("whole, and says what to keep elsewhere", async () => {
    const carrierId = await newChain(5);
    const events = await eventsOf(carrierId);
    const whole = { intact: true, verifiedCount: 5n, firstSequence: 1n, lastSequence: 5n };
    const answer = await verify({ carrierId });
    expect(answer).toMatchObject(whole);
    expect(answer).not.toHaveProperty("firstBreak", expect.anything());
    expect(Buffer.from(answer.lastHash)).toEqual(Buffer.from(events[4]?.entryHash ?? []));
    const expectedHash = events[3]?.entryHash ?? new Uint8Array();
    const part = await verify({ carrierId, firstSequence: 2n, lastSequence: 4n, expectedHash });
    expect(part).toMatchObject({ intact: true, verifiedCount: 3n, firstSequence: 2n, lastSequence: 4n });
    expect(await verify({ carrierId: await newCarrier() })).toMatchObject({
      intact: true,
      verifiedCount: 0n,
      firstSequence: 0n,
      lastSequence: 0n,
      lastHash: new Uint8Array(0),
    });
    expect(await verify({ carrierId: "" })).toMatchObject({ intact: true });
  });

  test("asked for wrongly", async () => {
    const carrierId = await newChain(1);
    const hash = new Uint8Array(32);
    for (const request of [
      { firstSequence: 0n },
      { lastSequence: 0n },
      { firstSequence: 3n, lastSequence: 2n },
      { expectedHash: hash },
      { expectedHash: hash.subarray(1), lastSequence: 1n },
    ])
      expect(await reasonOf(verify({ carrierId, ...request }))).toBe("INVALID_ARGUMENT");
    expect(await reasonOf(verify({ carrierId: "nobody-at-all" }))).toBe("CARRIER_NOT_FOUND");
  });

  const changes = {
    event_time: "event_time + interval '1 microsecond'",
    actor: "'somebody else'",
    method: "'another'",
    resource: "resource || 'x'",
    outcome: "2",
    error_reason: "'INTERNAL'",
    request_id: "'another'",
    changed_fields: "ARRAY['a', 'b']",
    details_json: `'{"n": 3}'`,
    entry_hash: "decode(repeat('ab', 32), 'hex')",
  };
  test.each(Object.entries(changes))("changed in %s", async (column, value) => {
    const carrierId = await newChain(4);
    await tamper(`UPDATE audit_event SET ${column} = ${value} WHERE carrier_id = '${carrierId}' AND sequence = 2`);
    const answer = await verify({ carrierId });
    expect(answer.firstBreak).toMatchObject({ kind: AuditBreakKind.CONTENT, sequence: 2n });
    expect(answer).toMatchObject({ intact: false, verifiedCount: 2n, firstSequence: 1n, lastSequence: 2n });
    expect(await verify({ carrierId, firstSequence: 3n })).toMatchObject({ intact: column !== "entry_hash" });
  });

  test("exchanged: another event with a right hash of its own", async () => {
    const carrierId = await newChain(4);
    await replaceEvent(carrierId, 2n);
    expect((await verify({ carrierId })).firstBreak).toMatchObject({ kind: AuditBreakKind.LINK, sequence: 3n });
    const last = await newChain(4);
    await replaceEvent(last, 4n);
    expect((await verify({ carrierId: last })).firstBreak).toMatchObject({ kind: AuditBreakKind.LINK, sequence: 4n });
    const previous = `UPDATE audit_event SET previous_hash = entry_hash WHERE carrier_id = '${carrierId}' AND sequence = 1`;
    await tamper(previous);
    expect((await verify({ carrierId })).firstBreak).toMatchObject({ kind: AuditBreakKind.LINK, sequence: 1n });
  });

  test("without one that was taken out: first, middle, last or all", async () => {
    for (const [condition, sequence] of [
      ["sequence = 1", 1n],
      ["sequence IN (2, 3)", 2n],
      ["sequence = 4", 4n],
      ["true", 1n],
    ] as const) {
      const carrierId = await newChain(4);
      await tamper(`DELETE FROM audit_event WHERE carrier_id = '${carrierId}' AND ${condition}`);
      expect((await verify({ carrierId })).firstBreak).toMatchObject({ kind: AuditBreakKind.GAP, sequence });
    }
    const carrierId = await newChain(4);
    expect((await verify({ carrierId, lastSequence: 9n })).firstBreak).toMatchObject({
      kind: AuditBreakKind.GAP,
      sequence: 5n,
    });
  });

  test("cut at its end with its head, or written anew whole: by a hash that was kept elsewhere", async () => {
    const carrierId = await newChain(4);
    const kept = await verify({ carrierId });
    const asked = { carrierId, lastSequence: kept.lastSequence, expectedHash: kept.lastHash };
    expect(await verify(asked)).toMatchObject({ intact: true });
    await tamper(`DELETE FROM audit_event WHERE carrier_id = '${carrierId}' AND sequence = 4`);
    await tamper(`DELETE FROM audit_head WHERE carrier_id = '${carrierId}' AND sequence = 4`);
    expect(await verify({ carrierId })).toMatchObject({ intact: true, verifiedCount: 3n });
    const isCut = { kind: AuditBreakKind.EXPECTED_HASH, sequence: 4n };
    expect((await verify(asked)).firstBreak).toMatchObject(isCut);
    await systemTransaction(app.services.db, (tx) => appendAuditEvent(tx, actOf(carrierId)));
    expect(await verify({ carrierId })).toMatchObject({ intact: true, verifiedCount: 4n });
    expect((await verify(asked)).firstBreak).toMatchObject(isCut);
  });

  test("with a head that was set back, or ahead, or to another hash", async () => {
    for (const [statement, found] of [
      ["DELETE FROM audit_head WHERE sequence > 2 AND", { kind: AuditBreakKind.LINK, sequence: 3n }],
      ["DELETE FROM audit_head WHERE", { kind: AuditBreakKind.LINK, sequence: 1n }],
      ["UPDATE audit_head SET sequence = 9 WHERE sequence = 4 AND", { kind: AuditBreakKind.GAP, sequence: 5n }],
      [
        "UPDATE audit_head SET entry_hash = decode(repeat('ab', 32), 'hex') WHERE sequence = 4 AND",
        { kind: AuditBreakKind.LINK, sequence: 4n },
      ],
    ] as const) {
      const carrierId = await newChain(4);
      await tamper(`${statement} carrier_id = '${carrierId}'`);
      expect((await verify({ carrierId })).firstBreak, statement).toMatchObject(found);
    }
  });

  test("continued behind its head", async () => {
    const carrierId = await newChain(2);
    await tamper(
      `INSERT INTO audit_event SELECT carrier_id, 3, event_time, actor, method, resource, outcome, error_reason, request_id, changed_fields,
         details_json, previous_hash, entry_hash FROM audit_event WHERE carrier_id = '${carrierId}' AND sequence = 2`,
    );
    expect((await verify({ carrierId })).firstBreak).toMatchObject({ kind: AuditBreakKind.LINK, sequence: 3n });
  });

  test("shorter at its beginning, as retention leaves it, and whole all the same", async () => {
    const carrierId = await newChain(6);
    const events = await eventsOf(carrierId);
    const before = microsOf(events[3]?.eventTime);
    const { db } = app.services;
    expect(await ownerTransaction(db, (tx) => deleteAuditEvents(tx, carrierId, before, 2))).toBe(2);
    expect(await ownerTransaction(db, (tx) => deleteAuditEvents(tx, carrierId, before, 2))).toBe(1);
    const rest = { intact: true, verifiedCount: 3n, firstSequence: 4n, lastSequence: 6n };
    expect(await verify({ carrierId })).toMatchObject(rest);
    expect(await verify({ carrierId, firstSequence: 1n })).toMatchObject(rest);
    const now = microsFromMs(Date.now() + 60_000);
    expect(await ownerTransaction(db, (tx) => deleteAuditEvents(tx, carrierId, now, 100))).toBe(3);
    expect(await verify({ carrierId })).toMatchObject({ intact: true, verifiedCount: 0n });
    await systemTransaction(db, (tx) => appendAuditEvent(tx, actOf(carrierId)));
    expect(await verify({ carrierId })).toMatchObject({ intact: true, verifiedCount: 1n, firstSequence: 7n });
    await tamper(`DELETE FROM audit_event WHERE carrier_id = '${carrierId}'`);
    expect((await verify({ carrierId })).firstBreak).toMatchObject({ kind: AuditBreakKind.GAP, sequence: 7n });
  });
});

test("Accountability: a long chain is verified page by page, and a call that is given up ends", async () => {
  const carrierId = await newCarrier();
  await systemTransaction(app.services.db, async (tx) => {
    for (let count = 0; count < 1_050; count++) await appendAuditEvent(tx, actOf(carrierId));
  });
  expect(await verify({ carrierId })).toMatchObject({ intact: true, verifiedCount: 1_050n });
  await tamper(`UPDATE audit_event SET actor = 'x' WHERE carrier_id = '${carrierId}' AND sequence = 1001`);
  expect((await verify({ carrierId })).firstBreak).toMatchObject({ kind: AuditBreakKind.CONTENT, sequence: 1_001n });
  const gone = new AbortController();
  const call = privacy.verifyAuditLog({ carrierId }, { signal: gone.signal });
  gone.abort();
  await expect(call).rejects.toThrow();
  await expect.poll(() => app.callCount).toBe(0);
});

test("Accountability: `tandem privacy audit verify --kept` keeps where the chains end, and tells of one that was cut or written anew since", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tandem-kept-"));
  try {
    const env = { TANDEM_URL: app.url, TANDEM_TOKEN: await app.platformToken() };
    const file = join(folder, "ends.json");
    const run = (carrierId: string) =>
      runCli(["privacy", "audit", "verify", "--carrier", carrierId, "--kept", file], env);
    const [cut, rewritten, idle] = [await newChain(4), await newChain(4), await newChain(2)];
    const fresh = `1 chain had no end in ${file} to be held against: the first time, or another file.\n`;
    for (const carrierId of [cut, rewritten, idle])
      expect(await run(carrierId)).toMatchObject({ code: 0, messages: fresh });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    // What goes on is whole, and moves the end that is kept.
    await systemTransaction(app.services.db, (tx) => appendAuditEvent(tx, actOf(cut)));
    expect(await run(cut)).toMatchObject({ code: 0 });
    expect(JSON.parse(await readFile(file, "utf8")).chains).toMatchObject([
      { carrierId: cut, sequence: "5" },
      { carrierId: rewritten, sequence: "4" },
      { carrierId: idle, sequence: "2" },
    ]);
    // By somebody who owns the database, with the head, and then gone on with: nothing in the
    // database shows it.
    for (const table of ["audit_event", "audit_head"])
      await tamper(`DELETE FROM ${table} WHERE carrier_id = '${cut}' AND sequence > 3`);
    await systemTransaction(app.services.db, (tx) => appendAuditEvent(tx, actOf(cut)));
    for (const table of ["audit_event", "audit_head"])
      await tamper(`DELETE FROM ${table} WHERE carrier_id = '${rewritten}'`);
    for (let count = 0; count < 4; count++)
      await systemTransaction(app.services.db, (tx) => appendAuditEvent(tx, actOf(rewritten)));
    for (const [carrierId, sequence] of [
      [cut, 5],
      [rewritten, 4],
    ] as const) {
      expect(await verify({ carrierId })).toMatchObject({ intact: true });
      const told = await run(carrierId);
      expect(told).toMatchObject({ code: 1 });
      expect(told.stdout).toContain(`BROKEN at ${sequence}: its hash is not the one expected`);
    }
    expect(JSON.parse(await readFile(file, "utf8")).chains[0]).toMatchObject({ carrierId: cut, sequence: "5" });
    // Retention has deleted every event of a chain at rest: its head still tells where it ended.
    const now = microsFromMs(Date.now() + 60_000);
    await ownerTransaction(app.services.db, (tx) => deleteAuditEvents(tx, idle, now, 100));
    expect(await run(idle)).toMatchObject({ code: 0, messages: "" });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("Accountability: `tandem verify` and `tandem privacy audit verify` say that a chain is broken, and where", async () => {
  const carrierId = await newChain(3);
  const env = { TANDEM_URL: app.url, TANDEM_TOKEN: await app.platformToken() };
  const [whole, listed] = await Promise.all([
    runCli(["privacy", "audit", "verify", "--carrier", carrierId], env),
    runCli(["privacy", "audit", "list", "--carrier", carrierId, "--csv"], env),
  ]);
  expect(whole).toMatchObject({ code: 0, messages: "" });
  const hash = Buffer.from((await verify({ carrierId })).lastHash).toString("hex");
  expect(whole.stdout).toMatch(new RegExp(`${carrierId} +yes +3 +1 +3 +${hash}`));
  expect(whole.stdout).toMatch(/\nWhole: 3 events in 1 chain\.\n$/);
  expect(listed.stdout.split("\n")).toHaveLength(5);
  expect(listed.stdout).toContain(hash);
  await tamper(`DELETE FROM audit_event WHERE carrier_id = '${carrierId}' AND sequence = 2`);
  const broken = await runCli(["privacy", "audit", "verify", "--json"], env);
  expect(broken.code).toBe(1);
  const { chains } = JSON.parse(broken.stdout) as { chains: { carrierId: string }[] };
  expect(chains).toContainEqual(expect.objectContaining({ carrierId: "", intact: true }));
  expect(chains).toContainEqual(
    expect.objectContaining({
      carrierId,
      intact: false,
      firstBreak: { kind: "AUDIT_BREAK_KIND_GAP", sequence: "2" },
    }),
  );
  const told = await runCli(["privacy", "audit", "verify", "--carrier", carrierId], env);
  expect(told.code).toBe(1);
  expect(told.stdout).toMatch(
    new RegExp(`${carrierId} +BROKEN at 2: an event is missing .*\n\nBROKEN: 1 of 1 chain\\.\n$`),
  );
  const findings = await verifyAuditChains(app.services.db, AbortSignal.timeout(EVENTUALLY_MS));
  expect(findings).toContainEqual({
    carrierId,
    check: "AUDIT_CHAIN_BROKEN",
    detail: "a gap at sequence 2 of the audit log",
  });
});

const PLATFORM = "jwt:tandem:platform";
const CARRIER = { displayName: "acme", legalCountry: "DK", timeZone: "Europe/Copenhagen", region: "eu" };

let made = 0;

async function newCarrier(): Promise<string> {
  const carrierId = `carrier-${++made}`;
  await addCarrier(app.services.db, carrierId);
  return carrierId;
}

/** A carrier whose chain has so many events. */
async function newChain(count: number): Promise<string> {
  const carrierId = await newCarrier();
  for (let at = 0; at < count; at++)
    await systemTransaction(app.services.db, (tx) => appendAuditEvent(tx, actOf(carrierId)));
  return carrierId;
}

function actOf(carrierId: string) {
  const outcome = AuditOutcome.DONE;
  return { carrierId, actor: "test", method: "test/act", resource: "thing/1", outcome, details: { n: 1 } };
}

async function numbersOf(carrierId: string): Promise<Client<typeof NumberService>> {
  return createClient(NumberService, app.connect(await app.carrierToken(carrierId)));
}

async function eventsOf(carrierId: string): Promise<AuditEvent[]> {
  return (await privacy.listAuditEvents({ carrierId, pageSize: 1_000 })).events;
}

function verify(request: MessageInitShape<typeof VerifyAuditLogRequestSchema>) {
  return privacy.verifyAuditLog(request);
}

function describeEvent({ method, resource, outcome, errorReason, detailsJson }: AuditEvent): string {
  const details = detailsJson.replaceAll('"', "");
  return [method.replace(/^tandem\.\w+\.v1\./, ""), resource, AuditOutcome[outcome], errorReason, details]
    .filter(Boolean)
    .join(" ");
}

/** With the rights of whoever owns the database. */
async function tamper(statement: string): Promise<void> {
  await ownerTransaction(app.services.db, (tx) => sql.raw(statement).execute(tx));
}

/** Puts another event in the place of one, with a hash that is right for it. */
async function replaceEvent(carrierId: string, sequence: bigint): Promise<void> {
  const event = (await eventsOf(carrierId)).find((candidate) => candidate.sequence === sequence);
  if (!event) throw new Error("no such event");
  const forged = { ...event, actor: "somebody else" };
  const { entryHash: _, ...hashed } = toJson(AuditEventSchema, forged) as Record<string, unknown>;
  const hash = createHash("sha256").update(forged.previousHash).update(canonicalJson(hashed)).digest("hex");
  await tamper(
    `UPDATE audit_event SET actor = 'somebody else', entry_hash = '\\x${hash}' WHERE carrier_id = '${carrierId}' AND sequence = ${sequence}`,
  );
}

function nowS(): bigint {
  return BigInt(Math.floor(Date.now() / 1_000));
}

function at(micros = 0n) {
  return { seconds: micros / 1_000_000n, nanos: Number(micros % 1_000_000n) * 1_000 };
}

function microsOf(time: AuditEvent["eventTime"]): bigint {
  return (time?.seconds ?? 0n) * 1_000_000n + BigInt(Math.floor((time?.nanos ?? 0) / 1_000));
}

function bigintText(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
