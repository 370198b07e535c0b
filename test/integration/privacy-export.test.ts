import { create, type MessageInitShape, toJsonString } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tandemReason } from "../../src/client/errors.ts";
import { CdrService as CarrierCdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import {
  type ExportPhoneNumberRequestSchema,
  type ExportPhoneNumberResponse,
  type PhoneNumberExportItem,
  PhoneNumberExportItemSchema,
  PrivacyService,
  SubjectRole,
} from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { type CallDuration, CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { PartyKind } from "../../src/gen/tandem/type/v1/party_pb.js";
import { runCli } from "../support/cli.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, ingest, runSql } from "../support/feed.ts";
import { appendDurations, reconcileFully } from "../support/reconcile.ts";
import { durationUpload } from "../support/upload-kinds.ts";
import { UploadStream } from "../support/upload-stream.ts";

type Request = MessageInitShape<typeof ExportPhoneNumberRequestSchema>;

const SUBJECT = "+4533123456";
const OTHER = "+12025550123";
const COLLEAGUE = "+4533999999";
const STRANGER = "+442079460018";
const HOUR_MS = 3_600_000;
const NOON_MS = Math.floor(Date.now() / 86_400_000) * 86_400_000 - 12 * HOUR_MS;
const ALLOWED = 1;
const RESTRICTED = 2;

const party = (value: string, presentation = ALLOWED) => ({ kind: PartyKind.E164, value, presentation });
const OUT = { calling: party(SUBJECT), called: party(OTHER) };
const IN = { calling: party(OTHER), called: party(SUBJECT) };

/**
 * As retention leaves records of a carrier that are held: their copies, and nothing where they
 * were.
 */
const HOLD_AND_EXPIRE = [
  `INSERT INTO held_record (carrier_id, side, sequence, ingest_time, record_id, record_date, revision, entry_kind, start_time, direction, phone_number,
     customer_id, quality_verdict, payload)
   SELECT carrier_id, 1, sequence, ingest_time, record_id, record_date, revision, entry_kind, invite_time, direction, phone_number, customer_id,
     quality_verdict, payload FROM cdr_record WHERE carrier_id = 'kept'`,
  `INSERT INTO held_record (carrier_id, side, sequence, ingest_time, record_id, record_date, revision, entry_kind, start_time, direction, phone_number,
     customer_id, quality_verdict, payload)
   SELECT carrier_id, 2, sequence, ingest_time, record_id, record_date, revision, entry_kind, start_time, direction, phone_number, customer_id, 0,
     payload FROM duration_record WHERE carrier_id = 'kept'`,
  "DELETE FROM cdr_record WHERE carrier_id = 'kept' AND record_id = 'held'",
  "DELETE FROM duration_record WHERE carrier_id = 'kept'",
];

let exchange: Exchange;
let privacy: Client<typeof PrivacyService>;

beforeAll(async () => {
  exchange = await startExchange();
  await exchange.addCarrier("acme", { graceMs: 60_000n });
  await exchange.addCarrier("bolt", { region: "us" });
  await exchange.assignNumbers("acme", [SUBJECT, COLLEAGUE], "cedar-bank");
  await exchange.assignNumbers("bolt", [STRANGER], "delta-shop");
  await provideAcme();
  await provideBolt();
  privacy = await exchange.platformClient(PrivacyService);
});
afterAll(() => exchange[Symbol.asyncDispose]());

test("Access: everything kept about a number in a period comes in one stream, with a header at once and a trailer that counts", async () => {
  const { header, items, trailer } = await readExport();
  expect(header?.exportId).toMatch(/^[\w-]{1,64}$/);
  expect(header?.privacyStatementVersion).not.toBe("");
  expect(Number(header?.snapshotTime?.seconds) * 1_000).toBeGreaterThan(Date.now() - 60_000);
  expect(namesOf(items)).toEqual([
    "acme number ASSIGNED",
    "acme cdr corrected#2",
    "acme cdr forwarded#1",
    "acme cdr in#1",
    "acme cdr out#1",
    "acme cdr spelled#1",
    "acme cdr taken-back#2",
    "acme discrepancy corrected",
    "acme discrepancy forwarded",
    "acme discrepancy in",
    "acme discrepancy spelled",
    "acme duration d-out#1",
    "bolt cdr to-subject#1",
    "bolt duration quarantined#1",
  ]);
  expect(trailer?.itemCount).toBe(BigInt(items.length));
});

test("Access: calls of restricted callers are left out and counted, whichever side knows of the wish", async () => {
  const { items, trailer } = await readExport();
  expect(namesOf(items).join()).not.toContain("secret");
  // One by the platform's word, one by the carrier's, one that only the carrier has.
  expect(trailer?.withheldCount).toBe(3n);
  expect(jsonOf(items)).not.toMatch(/secret/);
});

test("Access: a person who hid the own number sees the own calls", async () => {
  const { items } = await readExport({ phoneNumber: COLLEAGUE, role: SubjectRole.SUBSCRIBER });
  expect(namesOf(items)).toContain("acme cdr hidden-own#1");
});

describe("Access: roles tell whose calls they are", () => {
  test("a subscriber's, by the platform's side of the call", async () => {
    const { items } = await readExport({ role: SubjectRole.SUBSCRIBER });
    const cdrs = namesOf(items).filter((name) => name.includes(" cdr "));
    expect(cdrs).toEqual([
      "acme cdr corrected#2",
      "acme cdr forwarded#1",
      "acme cdr in#1",
      "acme cdr out#1",
      "acme cdr spelled#1",
      "acme cdr taken-back#2",
    ]);
  });

  test("another party's, without states of the number and without whose customer called", async () => {
    const { items } = await readExport({ role: SubjectRole.OTHER_PARTY });
    expect(namesOf(items)).toEqual([
      "acme cdr forwarded#1",
      "acme discrepancy forwarded",
      "bolt cdr to-subject#1",
      "bolt duration quarantined#1",
    ]);
    expect(jsonOf(items)).not.toMatch(/delta-shop|cedar-bank/);
  });
});

test("Masking: other parties have their last three digits hidden, the person's own number is whole", async () => {
  const { items } = await readExport();
  const json = jsonOf(items);
  expect(json).toContain(SUBJECT);
  for (const other of [OTHER, COLLEAGUE, STRANGER]) {
    expect(json).not.toContain(other);
    expect(json).not.toContain(other.slice(1));
  }
  expect(json).toContain("+12025550***");
  const out = items.find(({ item }) => item.case === "callDetailRecord" && item.value.recordId === "out");
  expect(out?.item.value).toMatchObject({
    parties: { calling: { value: SUBJECT }, called: { value: "+12025550***", countryCode: "US" } },
    outcome: { reasonPhrase: "forwarded to +44 20 7946 0***" },
  });
});

test("Access: a number that was somebody else's is not exported, nor calls outside the period", async () => {
  const { items } = await readExport({
    startTime: timestampFromMs(NOON_MS - HOUR_MS),
    endTime: timestampFromMs(NOON_MS),
  });
  expect(namesOf(items)).toEqual(["acme number ASSIGNED"]);
  const before = await readExport({
    startTime: timestampFromMs(NOON_MS - 49 * HOUR_MS),
    endTime: timestampFromMs(NOON_MS - 47 * HOUR_MS),
  });
  expect(namesOf(before.items)).toEqual(["acme number ASSIGNED", "acme cdr earlier#1", "acme discrepancy earlier"]);
});

test("Minimisation: network identifiers only where the agreement allows, the location only with its scope", async () => {
  const { items } = await readExport();
  expect(jsonOf(items)).not.toMatch(/192\.0\.2\.1/);
  await exchange.addCarrier("open", { networkIdentifiersAllowed: true });
  await exchange.assignNumbers("open", ["+4533123400"], "echo");
  const identifiers = { carrierMediaAddress: "192.0.2.1" };
  await ingest(exchange, "open", [
    call(
      "with-network",
      { parties: { calling: party("+4533123400"), called: party(OTHER) }, networkIdentifiers: identifiers },
      NOON_MS + 1_000,
    ),
  ]);
  const denied = createClient(
    PrivacyService,
    await exchange.platformTransport({ token: await exchange.platformToken(["privacy.read"]) }),
  );
  expect(jsonOf(items)).toContain("location-1");
  expect(jsonOf((await readExport({}, denied)).items)).not.toContain("location-1");
  const allowed = await readExport({ phoneNumber: "+4533123400" });
  expect(jsonOf(allowed.items)).toContain("192.0.2.1");
});

test("Access: records that are held beyond their retention are in it, and how long each part is kept is said first", async () => {
  const number = "+4533123500";
  await exchange.addCarrier("kept");
  await exchange.assignNumbers("kept", [number], "echo");
  const parties = { calling: party(number), called: party(OTHER) };
  await ingest(exchange, "kept", [
    call("held", { parties }, NOON_MS + 1_000),
    call("live", { parties }, NOON_MS + 2_000),
  ]);
  await appendDurations(exchange.services.db, "kept", [duration("held-duration", parties, 1, NOON_MS + 1_000)]);
  for (const statement of HOLD_AND_EXPIRE) await runSql(exchange, sql.raw(statement));
  const { header, items } = await readExport({ phoneNumber: number });
  expect(namesOf(items)).toEqual([
    "kept number ASSIGNED",
    "kept cdr held#1",
    "kept cdr live#1",
    "kept duration held-duration#1",
  ]);
  expect(header?.policies.map((policy) => policy.recordPart)).toEqual(expect.arrayContaining([1, 2, 3, 4, 5, 6]));
  expect(header?.policies.every((policy) => policy.retentionDays > 0 && policy.legalBasis !== 0)).toBe(true);
});

test("Accountability: an export is in the audit log without the number, and each of its batches in the disclosure log before it is sent", async () => {
  const { header, items } = await readExport({ caseReference: "DSR-2026-7", verifiedBy: "privacy desk" });
  const [event] = await runSql<{ details_json: string; resource: string; carrier_id: string }>(
    exchange,
    sql`SELECT details_json, resource, carrier_id FROM audit_event WHERE resource = ${`export/${header?.exportId}`}`,
  );
  expect(event?.carrier_id).toBe("");
  expect(event?.details_json).toContain("DSR-2026-7");
  expect(event?.details_json).not.toContain(SUBJECT.slice(4));
  const rows = await runSql<{ carrier_id: string; named: string[]; masked: boolean; filter_json: string }>(
    exchange,
    sql`SELECT carrier_id, record_ids AS named, masked, filter_json FROM disclosure WHERE session_id = ${header?.exportId ?? ""}`,
  );
  const named = rows.flatMap((row) => row.named.map((name) => `${row.carrier_id} ${name}`));
  for (const item of items) {
    if (item.item.case !== "callDetailRecord" && item.item.case !== "callDuration") continue;
    expect(named).toContain(`${item.carrierId} ${item.item.value.recordId}`);
  }
  expect(rows.every((row) => row.masked && !row.filter_json.includes(SUBJECT.slice(4)))).toBe(true);
});

test("Access: who may have received the records comes last, without what was asked for then or whose other records went along", async () => {
  const carrier = await exchange.carrierClient(CarrierCdrService, "acme");
  const listed = await carrier.listCdrs({
    startTime: timestampFromMs(NOON_MS - 24 * HOUR_MS),
    endTime: timestampFromMs(Date.now()),
    filter: { phoneNumbers: [SUBJECT, COLLEAGUE] },
  });
  expect(listed.records.map(({ recordId }) => recordId)).toEqual(expect.arrayContaining(["out", "not-of-it"]));
  const { items } = await readExport();
  const disclosures = items.flatMap(({ item }) => (item.case === "disclosure" ? [item.value] : []));
  expect(items.slice(-disclosures.length).every(({ item }) => item.case === "disclosure")).toBe(true);
  const found = disclosures.find(({ method }) => method === "tandem.carrier.v1.CdrService/ListCdrs");
  expect(found).toMatchObject({ carrierId: "acme", credentialId: "jwt:tandem:acme", filterJson: "{}" });
  const named = found?.records.map(({ recordId }) => recordId) ?? [];
  expect(named).toContain("out");
  expect(named).not.toContain("not-of-it");
});

test("Access: a person with many calls among many more gets each once, a thousand a message", async () => {
  const [number, neighbour] = ["+4533123700", "+4533123800"];
  await exchange.addCarrier("busy");
  await exchange.assignNumbers("busy", [number, neighbour], "echo");
  const callOfNth = (index: number) => {
    const calling = party(index % 5 === 0 ? number : neighbour);
    return call(`busy-${index}`, { parties: { calling, called: party(OTHER) } }, NOON_MS + index);
  };
  await ingest(
    exchange,
    "busy",
    Array.from({ length: 6_000 }, (_, index) => callOfNth(index)),
  );
  const sizes: number[] = [];
  const names = new Set<string>();
  for await (const { frame } of privacy.exportPhoneNumber(requestOf({ phoneNumber: number }))) {
    if (frame.case !== "batch") continue;
    sizes.push(frame.value.items.length);
    for (const name of namesOf(frame.value.items)) if (name.includes(" cdr ")) names.add(name);
  }
  expect(names.size).toBe(1_200);
  expect(Math.max(...sizes)).toBe(1_000);
});

test("Access: until now may be said by a clock that is a few seconds ahead", async () => {
  const { trailer } = await readExport({ endTime: timestampFromMs(Date.now() + 5_000) });
  expect(trailer).toBeDefined();
});

describe("Access: a request that is wrong names the field, and never the number", () => {
  test.each<[string, Request, string]>([
    ["no number", { phoneNumber: "" }, "phone_number"],
    ["a number with separators", { phoneNumber: "+45 33 12 34 56" }, "phone_number"],
    ["no start", { startTime: undefined as never }, "start_time"],
    ["no end", { endTime: undefined as never }, "end_time"],
    ["an end before the start", { endTime: timestampFromMs(NOON_MS - 90 * HOUR_MS) }, "end_time"],
    ["an end in the future", { endTime: timestampFromMs(Date.now() + HOUR_MS) }, "end_time"],
    ["no role", { role: SubjectRole.UNSPECIFIED }, "role"],
    ["an unknown role", { role: 9 as SubjectRole }, "role"],
    ["no case", { caseReference: " " }, "case_reference"],
    ["a case with the number", { caseReference: "of 33 12 34 56" }, "case_reference"],
    ["nobody who verified", { verifiedBy: "" }, "verified_by"],
    ["a long name of who verified", { verifiedBy: "x".repeat(129) }, "verified_by"],
  ])("%s", async (_, changes, field) => {
    const error = await readExport(changes).then(
      () => undefined,
      (thrown: unknown) => ConnectError.from(thrown),
    );
    expect(error && tandemReason(error)).toMatchObject({ reason: "INVALID_ARGUMENT", metadata: { field } });
    expect(error?.message.replaceAll(/\D/g, "")).not.toContain("33123456");
  });
});

test("Residency: a process of one region exports what it may, and ends without a trailer, with the region that has the rest", async () => {
  const regional = await exchange.openSecondApp({ region: "eu" });
  const client = createClient(PrivacyService, await exchange.platformTransport({ baseUrl: regional.url }));
  const frames: ExportPhoneNumberResponse[] = [];
  const error = await collect(client.exportPhoneNumber(requestOf({})), frames).then(
    () => undefined,
    (thrown: unknown) => ConnectError.from(thrown),
  );
  expect(error && tandemReason(error)).toMatchObject({ reason: "REGION_MISMATCH", metadata: { region: "us" } });
  const items = itemsOf(frames);
  expect(items.length).toBeGreaterThan(5);
  expect(items.every(({ carrierId }) => carrierId !== "bolt")).toBe(true);
  expect(frames.some(({ frame }) => frame.case === "trailer")).toBe(false);
  const own = await readExport({ phoneNumber: COLLEAGUE }, client);
  expect(own.trailer?.itemCount).toBe(BigInt(own.items.length));
});

test("Access: an export holds no transaction while its client does not read, and one that left leaves nothing", async () => {
  const abort = new AbortController();
  const stream = privacy.exportPhoneNumber(requestOf({}), { signal: abort.signal })[Symbol.asyncIterator]();
  await stream.next();
  const countOpen = async () => {
    const [row] = await runSql<{ count: bigint }>(
      exchange,
      sql`SELECT count(*) AS count FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'`,
    );
    return row?.count;
  };
  await expect.poll(countOpen).toBe(0n);
  abort.abort();
  await expect(stream.next().then(() => stream.next())).rejects.toThrow();
  await expect.poll(() => exchange.services.slots.count).toBe(0);
});

function requestOf(changes: Request): Request {
  return {
    phoneNumber: SUBJECT,
    startTime: timestampFromMs(NOON_MS - 24 * HOUR_MS),
    endTime: timestampFromMs(Date.now() - 1_000),
    role: SubjectRole.ANY,
    caseReference: "DSR-1",
    verifiedBy: "privacy desk",
    ...changes,
  };
}

async function collect(stream: AsyncIterable<ExportPhoneNumberResponse>, frames: ExportPhoneNumberResponse[]) {
  for await (const message of stream) frames.push(message);
}

async function readExport(changes: Request = {}, client = privacy) {
  const frames: ExportPhoneNumberResponse[] = [];
  await collect(client.exportPhoneNumber(requestOf(changes)), frames);
  const first = frames[0]?.frame;
  const last = frames.at(-1)?.frame;
  return {
    header: first?.case === "header" ? first.value : undefined,
    items: itemsOf(frames),
    trailer: last?.case === "trailer" ? last.value : undefined,
  };
}

function itemsOf(frames: readonly ExportPhoneNumberResponse[]): PhoneNumberExportItem[] {
  return frames.flatMap(({ frame }) => (frame.case === "batch" ? frame.value.items : []));
}

/** Records by name, sorted, but for disclosures. */
function namesOf(items: readonly PhoneNumberExportItem[]): string[] {
  const names = items.flatMap(({ carrierId, item }) => {
    switch (item.case) {
      case "phoneNumber":
        return [`${carrierId} number ${["", "PROVISIONED", "ASSIGNED"][item.value.state]}`];
      case "callDetailRecord":
        return [`${carrierId} cdr ${item.value.recordId}#${item.value.revision}`];
      case "callDuration":
        return [`${carrierId} duration ${item.value.recordId}#${item.value.revision}`];
      case "discrepancy":
        return [
          `${carrierId} discrepancy ${item.value.platformRecord?.recordId ?? item.value.carrierRecords[0]?.recordId}`,
        ];
      default:
        return [];
    }
  });
  const states = names.filter((name) => name.includes(" number "));
  return [...states, ...names.filter((name) => !name.includes(" number ")).sort()];
}

function jsonOf(items: readonly PhoneNumberExportItem[]): string {
  return items.map((item) => toJsonString(PhoneNumberExportItemSchema, item)).join("\n");
}

async function provideAcme(): Promise<void> {
  const at = (minutes: number) => NOON_MS + minutes * 60_000;
  await ingest(exchange, "acme", [
    call("out", { parties: OUT, outcome: { finalSipCode: 200, reasonPhrase: "forwarded to +44 20 7946 0018" } }, at(1)),
    call(
      "in",
      { parties: IN, direction: 2, correlation: { interconnectDialog: { callId: `${OTHER}-7@sbc` } } },
      at(10),
    ),
    call("secret-1", { parties: { ...IN, asserted: party(OTHER, RESTRICTED) }, direction: 2 }, at(20)),
    call("secret-2", { parties: IN, direction: 2 }, at(30)),
    call("hidden-own", { parties: { calling: party(COLLEAGUE, RESTRICTED), called: party(OTHER) } }, at(40)),
    call(
      "forwarded",
      { parties: { calling: party(SUBJECT), called: party(OTHER), redirecting: party(COLLEAGUE) } },
      at(50),
    ),
    call("spelled", { parties: { calling: party(COLLEAGUE), asserted: party(SUBJECT), called: party(OTHER) } }, at(60)),
    call("corrected", { parties: OUT }, at(70)),
    call("corrected-away", { parties: OUT }, at(80)),
    call("taken-back", { parties: OUT }, at(90)),
    call("not-of-it", { parties: { calling: party(COLLEAGUE), called: party(OTHER) } }, at(100)),
    call("earlier", { parties: OUT }, NOON_MS - 48 * HOUR_MS),
  ]);
  await ingest(exchange, "acme", [
    call("corrected", { parties: OUT, revision: 2 }, at(70)),
    call("corrected-away", { parties: { calling: party(COLLEAGUE), called: party(OTHER) }, revision: 2 }, at(80)),
    call("taken-back", { revision: 2, kind: 2 }, at(90)),
  ]);
  await appendDurations(exchange.services.db, "acme", [
    duration("d-out", OUT, 1, at(1)),
    duration("d-secret-2", { ...IN, calling: party(OTHER, RESTRICTED) }, 2, at(30)),
    duration("d-secret-3", { calling: party(STRANGER, RESTRICTED), called: party(SUBJECT) }, 2, at(200)),
  ]);
  await runSql(
    exchange,
    sql`UPDATE carrier SET settings = jsonb_set(settings, '{reportingScopes}', '[{"directions": [1, 2], "unanswered": false, "emergency": false}]') WHERE carrier_id = 'acme'`,
  );
  await reconcileFully(exchange.services.db, "acme", { nowMs: Date.now() + HOUR_MS });
}

async function provideBolt(): Promise<void> {
  await ingest(exchange, "bolt", [
    call("to-subject", { parties: { calling: party(STRANGER), called: party(SUBJECT) } }, NOON_MS + 5_000),
  ]);
  await using upload = await UploadStream.open(exchange, durationUpload, "bolt", { uploadId: "q" });
  await upload.next("opened");
  // Nobody's number at that carrier calls the person.
  upload.batch(0, [{ id: "quarantined", startMs: NOON_MS + 60_000, calling: "+442079460077", called: SUBJECT }]);
  await upload.committed(1);
}

function duration(
  recordId: string,
  parties: { calling: ReturnType<typeof party>; called: ReturnType<typeof party> },
  direction: number,
  startMs: number,
): CallDuration {
  return create(CallDurationSchema, {
    recordId,
    recordDate: new Date(startMs).toISOString().slice(0, 10),
    direction,
    ...parties,
    inviteTime: timestampFromMs(startMs),
    answerTime: timestampFromMs(startMs + 5_000),
    endTime: timestampFromMs(startMs + 65_000),
    connectedDurationMs: 60_000n,
    answered: true,
  });
}

describe("Access: `tandem privacy export` answers with one command", () => {
  const args = [
    ["privacy", "export", "-", "--from", new Date(NOON_MS - 24 * HOUR_MS).toISOString(), "--to", "1m"],
    ["--role", "any", "--case", "DSR-1", "--verified-by", "privacy desk"],
  ].flat();
  const run = async (more: readonly string[], url = exchange.url) =>
    runCli([...args, ...more], { TANDEM_URL: url, TANDEM_TOKEN: await exchange.platformToken() }, SUBJECT);

  test("as JSON lines: header, items, trailer", async () => {
    const { code, stdout, stderr } = await run([]);
    expect(code).toBe(0);
    const lines = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines[0]).toHaveProperty("header.exportId");
    expect(lines.at(-1)).toMatchObject({ trailer: { itemCount: String(lines.length - 2), withheldCount: "3" } });
    expect(stderr).toMatch(/Complete: \d+ items; 3 calls are withheld/);
    expect(stdout).not.toContain(OTHER);
  });

  test("as CSV", async () => {
    const { code, stdout } = await run(["--csv"]);
    expect(code).toBe(0);
    const lines = stdout.trim().split("\n");
    expect(lines[0]).toBe("kind,carrier_id,time,direction,calling,called,connected_ms,id,more");
    expect(lines.filter((line) => line.startsWith("cdr,acme,"))).toHaveLength(6);
    expect(lines.find((line) => line.includes(",out,"))).toContain(
      `outbound,${SUBJECT},+12025550***,60000,out,SIP 200`,
    );
  });

  test("one that ends without its trailer ends with 1", async () => {
    const regional = await exchange.openSecondApp({ region: "eu" });
    const { code, stdout, stderr } = await run([], regional.url);
    expect(code).toBe(1);
    expect(stderr).toContain("REGION_MISMATCH");
    expect(stdout).not.toContain('"trailer"');
  });
});
