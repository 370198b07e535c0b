import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DescMethod, MessageInitShape } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { sql } from "kysely";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { PlatformScope } from "../../src/domain/carriers/scopes.ts";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { CdrService as PlatformCdrService } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { PrivacyService } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { UsageService } from "../../src/gen/tandem/platform/v1/usage_service_pb.js";
import { systemTransaction } from "../../src/store/database/database.ts";
import { addCarrier } from "../support/carriers.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { EARLIEST, HEAD } from "../support/feed.ts";
import { type HeldBack, type HeldCall, holdCall, type Wire } from "../support/held-call.ts";
import { newRequestId, provisionItem, takeNumber } from "../support/numbers.ts";
import { reasonOf } from "../support/refusal.ts";
import { durationOf } from "../support/upload-kinds.ts";

let app: Exchange;
let folder: string;
let revokedFile: string;
/** What is held by the test that runs. */
const holding: HeldCall[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-held-"));
  revokedFile = join(folder, "revoked");
  await writeFile(revokedFile, "");
  app = await startExchange({
    accessCacheMs: 20,
    reloadIntervalMs: 20,
    reconcileIntervalMs: 0,
    region: "eu",
    revokedFile,
  });
  await addCarrier(app.services.db, "other");
});
afterEach(() => {
  for (const call of holding.splice(0)) call[Symbol.dispose]();
});
afterAll(async () => {
  await app?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** What may happen between a call's headers and its message. */
interface Change {
  readonly make: (carrierId: string) => Promise<unknown>;
  /** What a call is answered, as at its headers. */
  readonly answer: string;
  /**
   * What an upload may be answered as well, whose life began at its headers: the end of a stream.
   */
  readonly streamEnd: string;
}

const CHANGES: Record<string, Change> = {
  suspended: {
    make: (id) => change(sql`UPDATE carrier SET suspended = true WHERE carrier_id = ${id}`),
    answer: "CARRIER_SUSPENDED",
    streamEnd: "CARRIER_SUSPENDED",
  },
  "moved to another region": {
    make: (id) => change(sql`UPDATE carrier SET region = 'us' WHERE carrier_id = ${id}`),
    answer: "REGION_MISMATCH",
    streamEnd: "DRAINING",
  },
  removed: {
    make: (id) => change(sql`DELETE FROM carrier_credential WHERE carrier_id = ${id}`),
    answer: "UNAUTHENTICATED",
    streamEnd: "CREDENTIAL_EXPIRED",
  },
  "moved to another carrier": {
    make: (id) => change(sql`UPDATE carrier_credential SET carrier_id = 'other' WHERE carrier_id = ${id}`),
    answer: "UNAUTHENTICATED",
    streamEnd: "CREDENTIAL_EXPIRED",
  },
  "expired in the store": {
    make: (id) =>
      change(sql`UPDATE carrier_credential SET expire_time = now() - interval '1 s' WHERE carrier_id = ${id}`),
    answer: "UNAUTHENTICATED",
    streamEnd: "CREDENTIAL_EXPIRED",
  },
  revoked: { make: revoke, answer: "UNAUTHENTICATED", streamEnd: "CREDENTIAL_EXPIRED" },
};

for (const [name, { make, answer, streamEnd }] of Object.entries(CHANGES)) {
  test.each(["with the carrier's claim", "without a claim"])(
    `calls let in at their headers are refused once their message has come, if their credential or carrier was ${name} meanwhile: a token %s`,
    async (claim) => {
      const carrierId = await addOwner();
      const tokens = [await app.carrierToken(carrierId), await tokenOf(carrierId)];
      const held = await holdAll(CARRIER_CALLS, tokens[claim.startsWith("with the") ? 0 : 1] ?? "");
      await make(carrierId);
      // One of the two tells that the change is no longer hidden by what is remembered: the other
      // may still be let in, as somebody else.
      await expect.poll(async () => new Set(await Promise.all(tokens.map(listUploads)))).not.toEqual(new Set(["OK"]));
      for (const [call, reason] of Object.entries(await releaseAll(held)))
        expect(call.startsWith("UploadDurations") ? [answer, streamEnd] : [answer], call).toContain(reason);
      expect(await keptOf(carrierId)).toEqual({ uploads: 0, numbers: 0 });
      await expect.poll(() => app.callCount).toBe(0);
      expect(app.services.slots.count).toBe(0);
    },
  );
}

test("calls that hold back nothing but the end of their request are judged when that has come", async () => {
  const carrierId = await addOwner();
  const token = await app.carrierToken(carrierId);
  const ofOneMessage = Object.entries(CARRIER_CALLS).filter(([name]) => !name.startsWith("UploadDurations"));
  const held = await holdAll(Object.fromEntries(ofOneMessage), token, "end");
  await CHANGES["suspended"]?.make(carrierId);
  await expect.poll(() => listUploads(token)).toBe("CARRIER_SUSPENDED");
  const reasons = await releaseAll(held);
  expect(new Set(Object.values(reasons))).toEqual(new Set(["CARRIER_SUSPENDED"]));
  expect(await keptOf(carrierId)).toEqual({ uploads: 0, numbers: 0 });
});

test("calls whose token ends before their message has come are refused as expired", async () => {
  const carrierId = await addOwner();
  // Long enough for a slow machine to let these calls in.
  const token = await app.carrierToken(carrierId, { ttlSeconds: 6 });
  const ofEachKind = Object.entries(CARRIER_CALLS).filter(([name]) => !name.includes("HTTP/2"));
  const held = await holdAll(Object.fromEntries(ofEachKind), token);
  await expect.poll(() => listUploads(token)).toBe("CREDENTIAL_EXPIRED");
  const reasons = await releaseAll(held);
  expect(new Set(Object.values(reasons))).toEqual(new Set(["CREDENTIAL_EXPIRED"]));
  expect(await keptOf(carrierId)).toEqual({ uploads: 0, numbers: 0 });
});

test("calls whose message comes late are served when nothing has changed", async () => {
  const carrierId = await addOwner();
  const token = await tokenOf(carrierId);
  const held = await holdAll(CARRIER_CALLS, token);
  await expect.poll(() => listUploads(token)).toBe("OK");
  const reasons = await releaseAll(held);
  // An upload is let in, and then ends without Finish.
  const expected = Object.keys(held).map((name) => [name, name.startsWith("Upload") ? "UPLOAD_NOT_FINISHED" : "OK"]);
  expect(reasons).toEqual(Object.fromEntries(expected));
});

test("the platform's calls are judged again as well, and a revoked one does nothing", async () => {
  const identity = "leaving";
  const token = await issue({ identity, scopes: ["cdrs.write", "usage.read", "privacy.write", "privacy.read"] });
  const held = await holdAll(PLATFORM_CALLS, token);
  await revoke(identity);
  await expect
    .poll(() => reasonOf(createClient(PrivacyService, app.connect(token)).listHolds({})))
    .toBe("UNAUTHENTICATED");
  const reasons = await releaseAll(held);
  expect(new Set(Object.values(reasons))).toEqual(new Set(["UNAUTHENTICATED"]));
  const actor = `%${identity}`;
  const events = await count(sql`SELECT count(*)::int AS n FROM audit_event WHERE actor LIKE ${actor}`);
  expect(events).toBe(0);
});

test("a call that is refused once its message has come is one refusal in the audit log", async () => {
  const carrierId = await addOwner();
  const token = await app.carrierToken(carrierId);
  const held = await holdAll({ provision: CARRIER_CALLS["ProvisionNumbers, Connect over HTTP/1.1"] as Call }, token);
  await CHANGES["suspended"]?.make(carrierId);
  await expect.poll(() => listUploads(token)).toBe("CARRIER_SUSPENDED");
  expect(await releaseAll(held)).toEqual({ provision: "CARRIER_SUSPENDED" });
  const events = sql`SELECT count(*)::int AS n FROM audit_event WHERE carrier_id = ${carrierId} AND method LIKE '%ProvisionNumbers'`;
  expect(await count(events)).toBe(1);
});

test("the second judgement takes nothing of the principal's rates and places, and no false credentials of its address stop it", async () => {
  const revokedHere = join(folder, "revoked-here");
  await writeFile(revokedHere, "");
  // A rate of 1 has a burst of 10: enough for these calls once, and not twice. Their places are
  // enough for them alone.
  await using strict = await startExchange({
    maxCallsPerSecond: 1,
    maxLiveCalls: 8,
    maxAuthFailuresPerSecond: 1,
    revokedFile: revokedHere,
    reconcileIntervalMs: 0,
  });
  await addCarrier(strict.services.db, "acme");
  const token = await strict.carrierToken("acme");
  const held: HeldCall[] = [];
  for (let n = 0; n < 8; n++)
    held.push(
      await holdCall(strict.url, token, { ...append, wire: "Connect over HTTP/1.1", request: append.request() }),
    );
  await expect.poll(() => strict.callCount).toBe(8);
  const stranger = createClient(DurationService, strict.connect("nonsense"));
  await expect.poll(() => reasonOf(stranger.listUploads({})), { interval: 0 }).toBe("RATE_LIMITED");
  // With a new revocation, what was verified a moment ago is verified again.
  await writeFile(revokedHere, JSON.stringify({ subject: "nobody" }));
  await strict.reload();
  const reasons = await Promise.all(held.map((call) => call.release()));
  expect(reasons).toEqual(reasons.map(() => "OK"));
});

interface Call {
  readonly wire: Wire;
  readonly method: DescMethod;
  readonly request: () => MessageInitShape<DescMethod["input"]>;
}

const append = {
  method: DurationService.method.appendDurations,
  request: () => ({ uploadId: newRequestId(), records: [durationOf({ id: "held" })] }),
};
const list = { method: DurationService.method.listUploads, request: () => ({ pageSize: 10 }) };
const stream = { method: CdrService.method.streamCdrs, request: () => ({ start: EARLIEST, end: HEAD }) };
const upload = {
  method: DurationService.method.uploadDurations,
  request: () => ({ frame: { case: "open", value: { uploadId: newRequestId() } } }),
};
const provision = {
  method: NumberService.method.provisionNumbers,
  request: () => ({ requestId: newRequestId(), items: [provisionItem(takeNumber())] }),
};

const CARRIER_CALLS = callsOf([
  [append, ["Connect over HTTP/1.1", "Connect over HTTP/2", "gRPC", "gRPC-Web over HTTP/1.1"]],
  [provision, ["Connect over HTTP/1.1"]],
  [list, ["Connect over HTTP/1.1", "gRPC"]],
  [stream, ["Connect over HTTP/1.1", "Connect over HTTP/2", "gRPC", "gRPC-Web over HTTP/1.1"]],
  [upload, ["Connect over HTTP/2", "gRPC"]],
]);

const PLATFORM_CALLS = callsOf([
  [
    {
      method: PrivacyService.method.createHold,
      request: () => ({ requestId: newRequestId(), hold: { carrierId: "other", caseReference: "C-1" } }),
    },
    ["Connect over HTTP/1.1", "gRPC"],
  ],
  [
    {
      method: UsageService.method.exportUsage,
      request: () => ({ startDate: "2026-01-01", endDate: "2026-01-02" }),
    },
    ["Connect over HTTP/1.1", "gRPC"],
  ],
  [
    {
      method: PrivacyService.method.exportPhoneNumber,
      request: () => ({ phoneNumber: "+4532000001" }),
    },
    ["gRPC-Web over HTTP/1.1"],
  ],
  [
    {
      method: PlatformCdrService.method.ingestCdrs,
      request: () => ({ frame: { case: "open", value: { carrierId: "other", open: { uploadId: "held" } } } }),
    },
    ["gRPC"],
  ],
]);

function callsOf(rows: [Omit<Call, "wire">, Wire[]][]): Record<string, Call> {
  const calls = rows.flatMap(([call, wires]) => wires.map((wire) => ({ ...call, wire })));
  return Object.fromEntries(calls.map((call) => [`${call.method.name}, ${call.wire}`, call]));
}

/** Holds back some of each call's request until all of them have been let in. */
async function holdAll(
  calls: Record<string, Call>,
  token: string,
  heldBack?: HeldBack,
): Promise<Record<string, HeldCall>> {
  await expect.poll(() => app.callCount).toBe(0);
  const held: Record<string, HeldCall> = {};
  for (const [name, { wire, method, request }] of Object.entries(calls)) {
    const call = await holdCall(app.url, token, { wire, method, request: request(), heldBack });
    holding.push(call);
    held[name] = call;
  }
  await expect.poll(() => app.callCount).toBe(Object.keys(calls).length);
  // Judged after them, by the same look at the store, and then served: by then they have been
  // judged.
  await listUploads(token);
  await expect.poll(() => app.callCount).toBe(Object.keys(calls).length);
  return held;
}

async function releaseAll(held: Record<string, HeldCall>): Promise<Record<string, string>> {
  return Object.fromEntries(
    await Promise.all(Object.entries(held).map(async ([name, call]) => [name, await call.release()])),
  );
}

let added = 0;

/** A carrier that a subject of its own name may act as. */
async function addOwner(): Promise<string> {
  const carrierId = `owner-${added++}`;
  const identity = { kind: "jwt", issuer: app.services.config.tokens.issuer, subject: carrierId } as const;
  await addCarrier(app.services.db, carrierId, { credentials: [{ identity }] });
  return carrierId;
}

/** A token that says nothing but its subject. */
function tokenOf(identity: string): Promise<string> {
  return issue({ identity });
}

async function issue(request: { identity: string; scopes?: readonly PlatformScope[] }): Promise<string> {
  if (!app.signingKey) throw new Error("this app does not issue tokens");
  const { issuer } = app.services.config.tokens;
  return app.signingKey.issueToken({ issuer, audience: "tandem", ttlSeconds: 600, ...request });
}

function listUploads(token: string): Promise<string> {
  return reasonOf(createClient(DurationService, app.connect(token)).listUploads({}));
}

let revoked = "";

async function revoke(subject: string): Promise<void> {
  revoked += `${JSON.stringify({ subject })}\n`;
  await writeFile(revokedFile, revoked);
  await app.reload();
}

function change(statement: ReturnType<typeof sql>): Promise<unknown> {
  return systemTransaction(app.services.db, (tx) => statement.execute(tx));
}

async function keptOf(carrierId: string): Promise<{ uploads: number; numbers: number }> {
  return {
    uploads: await count(sql`SELECT count(*)::int AS n FROM upload WHERE carrier_id = ${carrierId}`),
    numbers: await count(sql`SELECT count(*)::int AS n FROM number_holding WHERE carrier_id = ${carrierId}`),
  };
}

async function count(statement: ReturnType<typeof sql>): Promise<number> {
  const { rows } = await systemTransaction(app.services.db, (tx) => statement.execute(tx));
  return (rows[0] as { n: number }).n;
}
