import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { NumberService as PlatformNumberService } from "../../src/gen/tandem/platform/v1/platform_number_service_pb.js";
import { NumberState } from "../../src/gen/tandem/type/v1/phone_number_pb.js";
import { numberWriter } from "../../src/rpc/numbers/number-call.ts";
import { carrierTransaction, systemTransaction } from "../../src/store/database/database.ts";
import { readNumberPage } from "../../src/store/numbers/number-feed.ts";
import { claimNumbers, moveClaims, readClaims, sweepClaims } from "../../src/store/numbers/number-owners.ts";
import { readPortsOfNumber } from "../../src/store/numbers/number-port-rows.ts";
import { settlePorts } from "../../src/store/numbers/number-ports.ts";
import { readHoldings } from "../../src/store/numbers/numbers.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import {
  describeOutcome,
  fromNow,
  newRequestId,
  numberOf,
  provisionItem,
  takeNumber,
  takeNumbers,
} from "../support/numbers.ts";

let exchange: Exchange;
let alpha: Client<typeof NumberService>;
let beta: Client<typeof NumberService>;
let platform: Client<typeof PlatformNumberService>;

beforeAll(async () => {
  exchange = await startExchange();
  await exchange.addCarrier("alpha");
  await exchange.addCarrier("beta");
  alpha = await exchange.carrierClient(NumberService, "alpha");
  beta = await exchange.carrierClient(NumberService, "beta");
  platform = await exchange.platformClient(PlatformNumberService);
});

afterAll(async () => {
  await exchange?.[Symbol.asyncDispose]();
});

const HOUR = 3_600_000;

async function provision(carrier: Client<typeof NumberService>, numbers: readonly string[], more = {}) {
  const { outcomes } = await carrier.provisionNumbers({
    requestId: newRequestId(),
    items: numbers.map((phoneNumber) => provisionItem(phoneNumber, more)),
  });
  return outcomes;
}

async function release(carrier: Client<typeof NumberService>, phoneNumbers: string[]) {
  return (await carrier.releaseNumbers({ requestId: newRequestId(), phoneNumbers })).outcomes;
}

async function assign(carrierId: string, phoneNumber: string, more = {}) {
  const item = { phoneNumber, customerId: "customer-1", assigneeKind: 1, ...more };
  const { outcomes } = await platform.assignNumbers({ requestId: newRequestId(), carrierId, items: [item] });
  return outcomes[0];
}

async function unassign(carrierId: string, phoneNumber: string, more = {}) {
  const { outcomes } = await platform.unassignNumbers({
    requestId: newRequestId(),
    carrierId,
    phoneNumbers: [phoneNumber],
    ...more,
  });
  return outcomes[0];
}

async function port(phoneNumber: string, effectiveMs: number, carrierId = "alpha", toCarrierId = "beta") {
  const { outcomes } = await platform.portNumbers({
    requestId: newRequestId(),
    carrierId,
    toCarrierId,
    phoneNumbers: [phoneNumber],
    effectiveTime: fromNow(effectiveMs),
  });
  return outcomes[0];
}

/** Provisions a number as if long ago, so that it can be assigned and ported for past times. */
async function provisionLongAgo(carrierId: string, phoneNumber: string) {
  await provision(carrierId === "alpha" ? alpha : beta, [phoneNumber]);
  await systemTransaction(exchange.services.db, async (tx) => {
    await sql`UPDATE number_holding SET start_time = start_time - interval '30 days', holding_start_time = holding_start_time - interval '30 days'
      WHERE phone_number = ${phoneNumber}`.execute(tx);
  });
}

/**
 * Has an assignment that is scheduled for a number come due at this moment, and not when a test
 * that is slow has come there.
 */
async function letComeDue(phoneNumber: string): Promise<number> {
  const dueMs = Date.now();
  const due = sql`${new Date(dueMs).toISOString()}::timestamptz`;
  await systemTransaction(exchange.services.db, async (tx) => {
    await sql`UPDATE number_holding SET start_time = ${due} WHERE phone_number = ${phoneNumber} AND revision = 0`.execute(
      tx,
    );
    await sql`UPDATE number_holding SET end_time = ${due} WHERE phone_number = ${phoneNumber} AND end_time > ${due}`.execute(
      tx,
    );
  });
  return dueMs;
}

async function historyOf(phoneNumber: string) {
  const { periods } = await platform.listNumberHistory({ phoneNumber });
  return periods.map(({ number, scheduled }) => {
    const state = NumberState[number?.state ?? 0];
    return `${number?.carrierId} ${state} ${number?.customerId ?? "-"}${number?.effectiveEndTime ? " ended" : ""}${scheduled ? " scheduled" : ""}`;
  });
}

/** The error of a call that must fail: its code, reason and metadata. */
async function errorOf(call: Promise<unknown>) {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConnectError)) throw new Error(`expected an error of the call, got ${String(error)}`);
  const [info] = error.findDetails(ErrorInfoSchema);
  return { code: Code[error.code], reason: info?.reason, metadata: info?.metadata, message: error.rawMessage };
}

/** The feed's entries of one number: state, customer, revision. */
async function entriesOf(carrierId: string, phoneNumber: string) {
  const { rows } = await carrierTransaction(exchange.services.db, carrierId, (tx) =>
    sql<{ state: number; previous_state: number | null; sequence: bigint }>`
      SELECT state, previous_state, sequence FROM number_entry WHERE carrier_id = ${carrierId} AND phone_number = ${phoneNumber} ORDER BY sequence`.execute(
      tx,
    ),
  );
  return rows.map((row) => `${row.previous_state ? NumberState[row.previous_state] : "-"}>${NumberState[row.state]}`);
}

describe("provisioning", () => {
  test("a number that is offered is there with all that was stated of it", async () => {
    const number = takeNumber();
    const [outcome] = await provision(alpha, [number], {
      usages: [2, 1, 2],
      capabilities: [3, 1],
      locationId: "loc.1",
      customerReference: "Ordre nr. 7, æøå",
      customerId: "customer-9",
    });
    expect(numberOf(outcome)).toMatchObject({
      phoneNumber: number,
      telUri: `tel:${number}`,
      carrierId: "alpha",
      customerId: "customer-9",
      customerReference: "Ordre nr. 7, æøå",
      usages: [1, 2],
      capabilities: [1, 3],
      countryCode: "DK",
      locationId: "loc.1",
      state: NumberState.PROVISIONED,
      activationState: 0,
      assigneeKind: 0,
    });
    expect(numberOf(outcome).sipUri).toBeUndefined();
    expect((await alpha.getNumber({ phoneNumber: number })).number).toEqual(numberOf(outcome));
  });

  test("a repeat of a call does nothing and gets the first answer, even when the world has moved on", async () => {
    const numbers = takeNumbers(3);
    const request = {
      requestId: newRequestId(),
      items: [...numbers.map((n) => provisionItem(n)), provisionItem("+45")],
    };
    const first = await alpha.provisionNumbers(request);
    await assign("alpha", numbers[0] ?? "");
    expect(await alpha.provisionNumbers(request)).toEqual(first);
    expect(await entriesOf("alpha", numbers[1] ?? "")).toEqual(["->PROVISIONED"]);
  });

  test("repeats that run at once do the work once", async () => {
    const request = { requestId: newRequestId(), items: takeNumbers(20).map((n) => provisionItem(n)) };
    const answers = await Promise.all([1, 2, 3, 4].map(() => alpha.provisionNumbers(request)));
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(await entriesOf("alpha", request.items[0]?.phoneNumber ?? "")).toEqual(["->PROVISIONED"]);
  });

  test("a request_id with other content is refused, and another carrier's or method's is its own", async () => {
    const requestId = newRequestId();
    const [one, two, three] = takeNumbers(3) as [string, string, string];
    await alpha.provisionNumbers({ requestId, items: [provisionItem(one)] });
    expect(await errorOf(alpha.provisionNumbers({ requestId, items: [provisionItem(two)] }))).toMatchObject({
      code: "FailedPrecondition",
      reason: "REQUEST_ID_REUSED",
      metadata: { request_id: requestId },
    });
    expect(
      (await beta.provisionNumbers({ requestId, items: [provisionItem(three)] })).outcomes.map(describeOutcome),
    ).toEqual(["PROVISIONED"]);
    expect((await alpha.releaseNumbers({ requestId, phoneNumbers: [one] })).outcomes.map(describeOutcome)).toEqual([
      "RELEASED",
    ]);
  });

  test("every item has an outcome of its own, in request order", async () => {
    const [free, held, foreign] = takeNumbers(3) as [string, string, string];
    await provision(alpha, [held]);
    await provision(beta, [foreign]);
    const { outcomes } = await alpha.provisionNumbers({
      requestId: newRequestId(),
      items: [
        provisionItem(foreign),
        provisionItem(free),
        provisionItem("+4512"),
        provisionItem(held, { customerReference: "new" }),
        provisionItem(free),
        provisionItem(takeNumber(), { countryCode: "SE" }),
        provisionItem("+80012345678"),
        provisionItem("not a number \u0000".padEnd(100, "x")),
      ],
    });
    expect(outcomes.map(describeOutcome)).toEqual([
      "NUMBER_UNAVAILABLE phone_number",
      "PROVISIONED",
      "NUMBER_INVALID phone_number",
      "PROVISIONED",
      "INVALID_ARGUMENT phone_number",
      "INVALID_ARGUMENT country_code",
      "INVALID_ARGUMENT country_code",
      "NUMBER_INVALID phone_number",
    ]);
    expect(outcomes[7]?.phoneNumber).toBe("not a number \u0000".padEnd(64, "x"));
  });

  test("an item that asks for what already is leaves the revision alone; one that changes something raises it", async () => {
    const number = takeNumber();
    const first = numberOf((await provision(alpha, [number]))[0]);
    expect(numberOf((await provision(alpha, [number], { usages: [2, 1] }))[0])).toEqual(first);
    const changed = numberOf((await provision(alpha, [number], { locationId: "loc-2" }))[0]);
    expect(changed.revision).toBeGreaterThan(first.revision);
    expect(changed.effectiveStartTime).toEqual(first.effectiveStartTime);
    const bare = numberOf((await provision(alpha, [number]))[0]);
    expect(bare.locationId).toBeUndefined();
  });

  test("a thousand numbers go in one call, and one more is too many", async () => {
    const numbers = takeNumbers(1_001);
    expect(await errorOf(provision(alpha, numbers))).toMatchObject({
      code: "InvalidArgument",
      reason: "BATCH_TOO_LARGE",
      metadata: { records: "1001", limit: "1000" },
    });
    const outcomes = await provision(alpha, numbers.slice(1));
    const revisions = outcomes.map((outcome) => numberOf(outcome).revision);
    expect(revisions).toEqual(revisions.map((_, index) => (revisions[0] ?? 0n) + BigInt(index)));
    expect((await release(alpha, numbers.slice(1))).every((outcome) => describeOutcome(outcome) === "RELEASED")).toBe(
      true,
    );
  });

  test("what two carriers claim at once, exactly one of them gets", async () => {
    const numbers = takeNumbers(200);
    const [ofAlpha, ofBeta] = await Promise.all([provision(alpha, numbers), provision(beta, numbers.toReversed())]);
    const winners = numbers.map((number) => {
      const outcomes = [ofAlpha, ofBeta].map((all) => all.find((outcome) => outcome.phoneNumber === number));
      return outcomes.map((outcome) => outcome && describeOutcome(outcome)).sort();
    });
    for (const pair of winners) expect(pair).toEqual(["NUMBER_UNAVAILABLE phone_number", "PROVISIONED"]);
    const history = await Promise.all(numbers.slice(0, 5).map(historyOf));
    for (const periods of history) expect(periods).toHaveLength(1);
  });

  test("a claim whose rows a crash lost is gone on with by a retry", async () => {
    const number = takeNumber();
    await systemTransaction(exchange.services.db, (tx) =>
      claimNumbers(tx, "alpha", [{ phoneNumber: number, earlierClaimTime: undefined, since: undefined }], 1),
    );
    expect((await provision(beta, [number])).map(describeOutcome)).toEqual(["NUMBER_UNAVAILABLE phone_number"]);
    expect((await provision(alpha, [number])).map(describeOutcome)).toEqual(["PROVISIONED"]);
  });

  test("a claim whose rows a crash lost is freed by the sweeper, and no other claim is", async () => {
    const [lost, held, moving] = takeNumbers(3) as [string, string, string];
    await provision(alpha, [held, moving]);
    const { db } = exchange.services;
    await systemTransaction(db, (tx) =>
      claimNumbers(tx, "alpha", [{ phoneNumber: lost, earlierClaimTime: undefined, since: undefined }], 1),
    );
    await systemTransaction(db, async (tx) =>
      moveClaims(tx, "beta", [...(await readClaims(tx, [moving])).values()], []),
    );
    expect((await systemTransaction(db, (tx) => sweepClaims(tx, "", 600))).freed).toBe(0);
    await systemTransaction(
      db,
      async (tx) =>
        void (await sql`UPDATE number_owner SET claim_time = claim_time - interval '1 hour' WHERE phone_number = ${lost}`.execute(
          tx,
        )),
    );
    expect((await systemTransaction(db, (tx) => sweepClaims(tx, "", 600))).freed).toBe(1);
    expect((await provision(beta, [lost])).map(describeOutcome)).toEqual(["PROVISIONED"]);
    expect((await provision(beta, [held, moving])).map(describeOutcome)).toEqual(
      Array(2).fill("NUMBER_UNAVAILABLE phone_number"),
    );
  });
});

describe("provisioning for the past", () => {
  test("a carrier cannot have held a number while another did, and asking claims nothing", async () => {
    const number = takeNumber();
    await provisionLongAgo("alpha", number);
    await release(alpha, [number]);
    expect((await provision(beta, [number], { effectiveTime: fromNow(-HOUR) })).map(describeOutcome)).toEqual([
      "NUMBER_UNAVAILABLE effective_time",
    ]);
    expect((await provision(alpha, [number], { effectiveTime: fromNow(-HOUR) })).map(describeOutcome)).toEqual([
      "INVALID_ARGUMENT effective_time",
    ]);
    expect((await provision(alpha, [number], { effectiveTime: fromNow(HOUR) })).map(describeOutcome)).toEqual([
      "INVALID_ARGUMENT effective_time",
    ]);
    const { rows } = await systemTransaction(exchange.services.db, (tx) =>
      sql`SELECT 1 FROM number_owner WHERE phone_number = ${number}`.execute(tx),
    );
    expect(rows).toEqual([]);
    expect((await provision(beta, [number])).map(describeOutcome)).toEqual(["PROVISIONED"]);
    expect(await historyOf(number)).toEqual(["alpha PROVISIONED - ended", "beta PROVISIONED -"]);
  });
});

describe("releasing", () => {
  test("a released number is free for everybody, and its carrier keeps the row", async () => {
    const number = takeNumber();
    await provision(alpha, [number]);
    expect((await release(alpha, [number])).map(describeOutcome)).toEqual(["RELEASED"]);
    expect((await provision(beta, [number])).map(describeOutcome)).toEqual(["PROVISIONED"]);
    expect((await alpha.getNumber({ phoneNumber: number })).number).toMatchObject({
      state: NumberState.RELEASED,
      carrierId: "alpha",
    });
    expect((await provision(alpha, [number])).map(describeOutcome)).toEqual(["NUMBER_UNAVAILABLE phone_number"]);
    expect(await historyOf(number)).toEqual(["alpha PROVISIONED - ended", "beta PROVISIONED -"]);
  });

  test("a number can be released and provisioned again, and again", async () => {
    const number = takeNumber();
    for (let round = 0; round < 3; round++) {
      expect((await provision(alpha, [number])).map(describeOutcome)).toEqual(["PROVISIONED"]);
      expect((await release(alpha, [number])).map(describeOutcome)).toEqual(["RELEASED"]);
    }
    expect(await historyOf(number)).toEqual(Array(3).fill("alpha PROVISIONED - ended"));
    expect(await entriesOf("alpha", number)).toEqual([
      "->PROVISIONED",
      "PROVISIONED>RELEASED",
      "RELEASED>PROVISIONED",
      "PROVISIONED>RELEASED",
      "RELEASED>PROVISIONED",
      "PROVISIONED>RELEASED",
    ]);
  });

  test("what is released already is a success unchanged, what is assigned is not released, what is not the carrier's is not found", async () => {
    const [gone, assigned, foreign] = takeNumbers(3) as [string, string, string];
    await provision(alpha, [gone, assigned]);
    await provision(beta, [foreign]);
    await assign("alpha", assigned);
    const [first] = await release(alpha, [gone]);
    const outcomes = await release(alpha, [gone, gone, assigned, foreign, takeNumber(), "+4500"]);
    expect(outcomes.map(describeOutcome)).toEqual([
      "RELEASED",
      "RELEASED",
      "NUMBER_STATE_CONFLICT",
      "NUMBER_NOT_FOUND phone_number",
      "NUMBER_NOT_FOUND phone_number",
      "NUMBER_INVALID phone_number",
    ]);
    expect(numberOf(outcomes[0])).toEqual(numberOf(first));
  });

  test("a release that a crash kept from freeing its claim is finished by a repeat under another id", async () => {
    const number = takeNumber();
    await provision(alpha, [number]);
    await release(alpha, [number]);
    await systemTransaction(exchange.services.db, async (tx) => {
      await sql`INSERT INTO number_owner SELECT phone_number, carrier_id, claim_time, false FROM phone_number WHERE phone_number = ${number}`.execute(
        tx,
      );
    });
    expect((await provision(beta, [number])).map(describeOutcome)).toEqual(["NUMBER_UNAVAILABLE phone_number"]);
    expect((await release(alpha, [number])).map(describeOutcome)).toEqual(["RELEASED"]);
    expect((await provision(beta, [number])).map(describeOutcome)).toEqual(["PROVISIONED"]);
  });
});

describe("assigning", () => {
  test("an assignment shows to the carrier with its SIP URI, and its end brings back what was provisioned", async () => {
    const number = takeNumber();
    await provision(alpha, [number], { customerId: "customer-1", locationId: "loc-1" });
    expect(numberOf(await assign("alpha", number))).toMatchObject({
      state: NumberState.ASSIGNED,
      customerId: "customer-1",
      sipUri: `sip:${number}@alpha.example;user=phone`,
      activationState: 2,
      assigneeKind: 1,
      locationId: "loc-1",
    });
    expect((await alpha.getNumber({ phoneNumber: number })).number?.state).toBe(NumberState.ASSIGNED);
    expect(numberOf(await unassign("alpha", number))).toMatchObject({
      state: NumberState.PROVISIONED,
      customerId: "customer-1",
      activationState: 0,
    });
    expect(numberOf(await unassign("alpha", number)).sipUri).toBeUndefined();
    expect(await historyOf(number)).toEqual([
      "alpha PROVISIONED customer-1 ended",
      "alpha ASSIGNED customer-1 ended",
      "alpha PROVISIONED customer-1",
    ]);
  });

  test("activation is reported on the assignment that stands, with who must act", async () => {
    const number = takeNumber();
    await provision(alpha, [number]);
    const start = numberOf(await assign("alpha", number, { activationState: 1 })).effectiveStartTime;
    const failure = { reason: 3, actingParty: 1, message: "no route" };
    const failed = numberOf(await assign("alpha", number, { activationState: 3, activationFailure: failure }));
    expect(failed).toMatchObject({ activationState: 3, activationFailure: failure, effectiveStartTime: start });
    const active = numberOf(await assign("alpha", number));
    expect(active).toMatchObject({ activationState: 2, effectiveStartTime: start });
    expect(active.activationFailure).toBeUndefined();
  });

  test("every wrong item says which field, and touches nothing", async () => {
    const number = takeNumber();
    await provision(alpha, [number], { usages: [1] });
    const attempts: [object, string][] = [
      [{ customerId: "" }, "INVALID_ARGUMENT customer_id"],
      [{ customerId: "a b" }, "INVALID_ARGUMENT customer_id"],
      [{ assigneeKind: 0 }, "INVALID_ARGUMENT assignee_kind"],
      [{ assigneeKind: 2 }, "INVALID_ARGUMENT assignee_kind"],
      [{ assigneeKind: 99 }, "INVALID_ARGUMENT assignee_kind"],
      [{ sipUri: "sip:alice@example.com" }, "INVALID_ARGUMENT sip_uri"],
      [{ sipUri: `sip:${number}@example.com;x=${"y".repeat(255)}` }, "INVALID_ARGUMENT sip_uri"],
      [{ locationId: "Main Street 1" }, "INVALID_ARGUMENT location_id"],
      [{ activationState: 4 }, "INVALID_ARGUMENT activation_state"],
      [{ activationState: 3 }, "INVALID_ARGUMENT activation_failure"],
      [{ activationFailure: { reason: 1, actingParty: 1 } }, "INVALID_ARGUMENT activation_failure"],
      [
        { activationState: 3, activationFailure: { reason: 8, actingParty: 1 } },
        "INVALID_ARGUMENT activation_failure.reason",
      ],
      [{ effectiveTime: fromNow(-401 * 24 * HOUR) }, "INVALID_ARGUMENT effective_time"],
      [{ effectiveTime: fromNow(367 * 24 * HOUR) }, "INVALID_ARGUMENT effective_time"],
      [{ effectiveTime: { seconds: 1n << 62n, nanos: 0 } }, "INVALID_ARGUMENT effective_time"],
      [{ effectiveTime: fromNow(-HOUR) }, "INVALID_ARGUMENT effective_time"],
      [{ phoneNumber: takeNumber() }, "NUMBER_NOT_FOUND phone_number"],
    ];
    for (const [more, expected] of attempts) {
      const outcome = await assign("alpha", number, more);
      expect(
        outcome && describeOutcome(outcome),
        JSON.stringify(more, (_, value) => (typeof value === "bigint" ? String(value) : value)),
      ).toBe(expected);
    }
    expect(await entriesOf("alpha", number)).toEqual(["->PROVISIONED"]);
    expect((await assign("beta", number))?.result.case).toBe("failure");
  });

  test("an assignment for the past moves attribution from then on, and the history shows it as it is now known", async () => {
    const number = takeNumber();
    await provisionLongAgo("alpha", number);
    await assign("alpha", number, { effectiveTime: fromNow(-10 * 24 * HOUR) });
    await unassign("alpha", number, { effectiveTime: fromNow(-5 * 24 * HOUR) });
    await assign("alpha", number, { customerId: "customer-2", effectiveTime: fromNow(-HOUR) });
    expect(await historyOf(number)).toEqual([
      "alpha PROVISIONED - ended",
      "alpha ASSIGNED customer-1 ended",
      "alpha PROVISIONED - ended",
      "alpha ASSIGNED customer-2",
    ]);
    const holdings = await carrierTransaction(exchange.services.db, "alpha", (tx) =>
      readHoldings(tx, "alpha", [number]),
    );
    const customerAt = (ms: number) => {
      const time = BigInt(Date.now() + ms) * 1000n;
      const held = holdings.find((holding) => holding.startTime <= time && time < holding.endTime);
      return held && (held.customerId ?? "nobody");
    };
    expect([-20 * 24, -7 * 24, -2, -0.5].map((hours) => customerAt(hours * HOUR))).toEqual([
      "nobody",
      "customer-1",
      "nobody",
      "customer-2",
    ]);
    const late = await assign("alpha", number, { effectiveTime: fromNow(-6 * 24 * HOUR) });
    expect(late && describeOutcome(late)).toBe("NUMBER_STATE_CONFLICT customer_id");
  });

  test("a scheduled assignment shows as an end at once, and takes effect by itself with an entry in the feed", async () => {
    const number = takeNumber();
    await provision(alpha, [number]);
    const planned = numberOf(await assign("alpha", number, { effectiveTime: fromNow(HOUR) }));
    expect(planned).toMatchObject({ state: NumberState.PROVISIONED });
    expect(planned.effectiveEndTime).toBeDefined();
    expect(await historyOf(number)).toEqual(["alpha PROVISIONED - ended", "alpha ASSIGNED customer-1 scheduled"]);
    const { number: future } = await platform.getNumber({ phoneNumber: number, atTime: fromNow(2 * HOUR) });
    expect(future).toMatchObject({ state: NumberState.ASSIGNED, revision: 0n });
    const dueMs = await letComeDue(number);
    await expect
      .poll(async () => (await alpha.getNumber({ phoneNumber: number })).number?.state)
      .toBe(NumberState.ASSIGNED);
    expect((await alpha.getNumber({ phoneNumber: number })).number?.effectiveStartTime).toEqual(timestampFromMs(dueMs));
    expect(await entriesOf("alpha", number)).toEqual([
      "->PROVISIONED",
      "PROVISIONED>PROVISIONED",
      "PROVISIONED>ASSIGNED",
    ]);
  });

  test("a change that comes when a scheduled one is due enters both", async () => {
    const number = takeNumber();
    await provision(alpha, [number]);
    await assign("alpha", number, { effectiveTime: fromNow(HOUR) });
    await systemTransaction(exchange.services.db, async (tx) => {
      await sql`UPDATE number_holding SET start_time = clock_timestamp() WHERE phone_number = ${number} AND revision = 0`.execute(
        tx,
      );
      await sql`UPDATE number_holding SET end_time = (SELECT start_time FROM number_holding WHERE phone_number = ${number} AND revision = 0)
        WHERE phone_number = ${number} AND revision > 0`.execute(tx);
    });
    expect(numberOf(await unassign("alpha", number)).state).toBe(NumberState.PROVISIONED);
    expect(await entriesOf("alpha", number)).toEqual([
      "->PROVISIONED",
      "PROVISIONED>PROVISIONED",
      "PROVISIONED>ASSIGNED",
      "ASSIGNED>PROVISIONED",
    ]);
  });

  test("locations are set and seen only with their scopes", async () => {
    const number = takeNumber();
    await provision(alpha, [number], { locationId: "loc-1" });
    const token = await exchange.platformToken(["numbers.read", "numbers.write"]);
    const { createTandemTransport } = await import("../../src/client/transport.ts");
    const { createClient } = await import("@connectrpc/connect");
    using transport = createTandemTransport({ baseUrl: exchange.url, token });
    const limited = createClient(PlatformNumberService, transport);
    const item = { phoneNumber: number, customerId: "customer-1", assigneeKind: 1 };
    expect(
      await errorOf(
        limited.assignNumbers({ requestId: newRequestId(), carrierId: "alpha", items: [{ ...item, locationId: "x" }] }),
      ),
    ).toMatchObject({ code: "PermissionDenied", reason: "PERMISSION_DENIED", metadata: { scope: "locations.write" } });
    await assign("alpha", number, { locationId: "loc-2" });
    const { outcomes } = await limited.assignNumbers({
      requestId: newRequestId(),
      carrierId: "alpha",
      items: [{ ...item, activationState: 1 }],
    });
    expect(numberOf(outcomes[0]).locationId).toBeUndefined();
    expect((await limited.getNumber({ phoneNumber: number })).number?.locationId).toBeUndefined();
    expect((await platform.getNumber({ phoneNumber: number })).number).toMatchObject({
      locationId: "loc-2",
      activationState: 1,
    });
  });
});

describe("porting", () => {
  test("a port for a past time moves the number with its assignment, and calls belong to the holder at the time", async () => {
    const number = takeNumber();
    await provisionLongAgo("alpha", number);
    await provision(alpha, [number], { customerReference: "alpha's own" });
    await assign("alpha", number, { effectiveTime: fromNow(-10 * HOUR) });
    expect(numberOf(await port(number, -5 * HOUR))).toMatchObject({
      state: NumberState.PORTED_OUT,
      carrierId: "alpha",
      customerId: "customer-1",
    });
    const gained = (await beta.getNumber({ phoneNumber: number })).number;
    expect(gained).toMatchObject({
      state: NumberState.ASSIGNED,
      customerId: "customer-1",
      sipUri: `sip:${number}@beta.example;user=phone`,
    });
    expect(gained?.customerReference).toBeUndefined();
    expect(await historyOf(number)).toEqual([
      "alpha PROVISIONED - ended",
      "alpha ASSIGNED customer-1 ended",
      "beta ASSIGNED customer-1",
    ]);
    const holder = async (ms: number) =>
      (await platform.getNumber({ phoneNumber: number, atTime: fromNow(ms) })).number?.carrierId;
    expect([await holder(-6 * HOUR), await holder(-4 * HOUR), await holder(0)]).toEqual(["alpha", "beta", "beta"]);
    expect((await provision(alpha, [number])).map(describeOutcome)).toEqual(["NUMBER_UNAVAILABLE phone_number"]);
    expect((await release(alpha, [number])).map(describeOutcome)).toEqual(["NUMBER_NOT_FOUND phone_number"]);
    expect(numberOf(await unassign("beta", number)).state).toBe(NumberState.PROVISIONED);
    expect((await release(beta, [number])).map(describeOutcome)).toEqual(["RELEASED"]);
    expect((await provision(alpha, [number])).map(describeOutcome)).toEqual(["PROVISIONED"]);
  });

  test("a scheduled port shows to the loser only, as an end, and happens by itself", async () => {
    // What is seen before it happens is seen in time: a slow machine gets more of it.
    const planPort = async (leadMs: number) => {
      const number = takeNumber();
      await provision(alpha, [number]);
      await assign("alpha", number);
      const begunMs = performance.now();
      const planned = numberOf(await port(number, leadMs));
      const atBeta = await errorOf(beta.getNumber({ phoneNumber: number })).catch(() => undefined);
      const history = await historyOf(number);
      return { number, planned, atBeta, history, isInTime: performance.now() - begunMs < leadMs };
    };
    let seen = await planPort(600);
    for (let leadMs = 2_400; !seen.isInTime && leadMs < HOUR; leadMs *= 4) seen = await planPort(leadMs);
    const { number, planned } = seen;
    expect(planned).toMatchObject({ state: NumberState.ASSIGNED, carrierId: "alpha" });
    expect(planned.effectiveEndTime).toBeDefined();
    expect(seen.atBeta).toMatchObject({ reason: "NUMBER_NOT_FOUND" });
    expect(seen.history).toEqual([
      "alpha PROVISIONED - ended",
      "alpha ASSIGNED customer-1 ended",
      "beta ASSIGNED customer-1 scheduled",
    ]);
    const stateAtBeta = () =>
      beta.getNumber({ phoneNumber: number }).then(
        ({ number: row }) => row?.state,
        () => undefined,
      );
    await expect.poll(stateAtBeta).toBe(NumberState.ASSIGNED);
    expect((await beta.getNumber({ phoneNumber: number })).number?.effectiveStartTime).toEqual(
      planned.effectiveEndTime,
    );
    expect(await entriesOf("alpha", number)).toEqual([
      "->PROVISIONED",
      "PROVISIONED>ASSIGNED",
      "ASSIGNED>ASSIGNED",
      "ASSIGNED>PORTED_OUT",
    ]);
    expect(await entriesOf("beta", number)).toEqual(["->ASSIGNED"]);
  });

  test("a new port replaces the scheduled one, and a release drops it", async () => {
    const number = takeNumber();
    await provision(alpha, [number]);
    const first = numberOf(await port(number, HOUR));
    const second = numberOf(await port(number, 2 * HOUR));
    expect(second.effectiveEndTime?.seconds).toBeGreaterThan(first.effectiveEndTime?.seconds ?? 0n);
    const ports = () => systemTransaction(exchange.services.db, (tx) => readPortsOfNumber(tx, number));
    expect(await ports()).toHaveLength(1);
    const beyond = await assign("alpha", number, { effectiveTime: fromNow(3 * HOUR) });
    expect(beyond && describeOutcome(beyond)).toBe("NUMBER_NOT_FOUND effective_time");
    expect((await release(alpha, [number])).map(describeOutcome)).toEqual(["RELEASED"]);
    expect(await ports()).toEqual([]);
  });

  test("what was scheduled for after the port goes along", async () => {
    const number = takeNumber();
    await provision(alpha, [number]);
    await assign("alpha", number, { effectiveTime: fromNow(HOUR) });
    await port(number, 500);
    const stateAtBeta = () =>
      beta.getNumber({ phoneNumber: number }).then(
        ({ number: row }) => row?.state,
        () => undefined,
      );
    await expect.poll(stateAtBeta).toBe(NumberState.PROVISIONED);
    expect(await historyOf(number)).toEqual([
      "alpha PROVISIONED - ended",
      "beta PROVISIONED - ended",
      "beta ASSIGNED customer-1 scheduled",
    ]);
  });

  test.each(["row", "claim", "arrival"])(
    "a port that a crash left after the %s is finished, and the number is never two carriers'",
    async (step) => {
      const number = takeNumber();
      await provisionLongAgo("alpha", number);
      await assign("alpha", number);
      const { db } = exchange.services;
      const writer = numberWriter(exchange.services);
      // The port is stopped in its tracks: after the step, the next transaction fails.
      let transactions = 1 + ({ row: 1, claim: 2, arrival: 3 }[step] ?? 0);
      const stopping = new Proxy(db.pool, {
        get(target, property) {
          if (property !== "connect") return Reflect.get(target, property);
          return async () => {
            if (transactions-- === 0) throw new Error("killed");
            return target.connect();
          };
        },
      });
      await systemTransaction(db, async (tx) => {
        await sql`INSERT INTO number_port (carrier_id, phone_number, port_id, role, other_carrier_id, effective_time, stage)
        VALUES ('alpha', ${number}, gen_random_uuid(), 1, 'beta', clock_timestamp() - interval '1 hour', 1)`.execute(
          tx,
        );
      });
      const stopped = settlePorts({ ...writer, db: { ...db, pool: stopping } }, [number]);
      await stopped.catch(() => {});
      expect(transactions).toBeLessThan(0);
      expect((await provision(alpha, [number])).map(describeOutcome)).toEqual(["NUMBER_UNAVAILABLE phone_number"]);
      await expect
        .poll(() => historyOf(number))
        .toEqual(["alpha PROVISIONED - ended", "beta PROVISIONED - ended", "beta ASSIGNED customer-1"]);
      await expect.poll(() => systemTransaction(db, (tx) => readPortsOfNumber(tx, number))).toEqual([]);
      expect(await entriesOf("beta", number)).toEqual(["->ASSIGNED"]);
      expect(numberOf(await unassign("beta", number)).state).toBe(NumberState.PROVISIONED);
    },
  );

  test("a port is refused to nobody, to itself, to a suspended carrier, and for times out of range", async () => {
    await exchange.addCarrier("gamma", { suspended: true });
    const request = {
      requestId: newRequestId(),
      carrierId: "alpha",
      toCarrierId: "beta",
      phoneNumbers: [takeNumber()],
      effectiveTime: fromNow(HOUR),
    };
    const refusals: [object, string][] = [
      [{ toCarrierId: "alpha" }, "INVALID_ARGUMENT"],
      [{ toCarrierId: "nobody" }, "CARRIER_NOT_FOUND"],
      [{ carrierId: "nobody" }, "CARRIER_NOT_FOUND"],
      [{ carrierId: "\u0000" }, "CARRIER_NOT_FOUND"],
      [{ toCarrierId: "gamma" }, "CARRIER_SUSPENDED"],
      [{ effectiveTime: undefined }, "INVALID_ARGUMENT"],
      [{ effectiveTime: fromNow(367 * 24 * HOUR) }, "INVALID_ARGUMENT"],
      [{ effectiveTime: fromNow(-401 * 24 * HOUR) }, "INVALID_ARGUMENT"],
      [{ phoneNumbers: [] }, "BATCH_TOO_LARGE"],
      [{ requestId: "" }, "INVALID_ARGUMENT"],
    ];
    for (const [more, reason] of refusals)
      expect(await errorOf(platform.portNumbers({ ...request, ...more }))).toMatchObject({ reason });
    const tooEarly = takeNumber();
    await provision(alpha, [tooEarly]);
    const outcome = await port(tooEarly, -HOUR);
    expect(outcome && describeOutcome(outcome)).toBe("INVALID_ARGUMENT effective_time");
  });
});

describe("reading", () => {
  test("pages hold every number that was there all the time, once, while others come and go", async () => {
    await exchange.addCarrier("pages");
    const carrier = await exchange.carrierClient(NumberService, "pages");
    const numbers = takeNumbers(300);
    const stable = numbers.filter((_, index) => index % 2 === 0);
    const moving = numbers.filter((_, index) => index % 2 === 1);
    await provision(carrier, stable);
    const seen: string[] = [];
    const cursors = new Set<string>();
    let pageToken = "";
    let round = 0;
    do {
      const page = await carrier.listNumbers({ pageSize: 17, pageToken });
      seen.push(...page.numbers.map((number) => number.phoneNumber));
      cursors.add(page.watchCursor);
      pageToken = page.nextPageToken;
      await (round++ % 2 === 0
        ? provision(carrier, moving.slice(0, round * 10))
        : release(carrier, moving.slice(0, round * 5)));
    } while (pageToken !== "");
    expect(seen).toEqual([...new Set(seen)].sort());
    expect(stable.filter((number) => !seen.includes(number))).toEqual([]);
    expect(cursors.size).toBe(1);
  });

  test("filters join with AND, and page tokens are good for their own carrier, method and filter only", async () => {
    await exchange.addCarrier("filters");
    const carrier = await exchange.carrierClient(NumberService, "filters");
    const [one, two, three] = takeNumbers(3) as [string, string, string];
    await provision(carrier, [one, two]);
    await provision(carrier, ["+4687654321"], { countryCode: "SE" });
    await provision(carrier, [three], { customerId: "customer-7" });
    await assign("filters", two);
    await release(carrier, [one]);
    const list = async (filter: object) =>
      (await carrier.listNumbers({ filter })).numbers.map((number) => number.phoneNumber);
    expect(await list({})).toEqual([one, two, three, "+4687654321"]);
    expect(await list({ states: [2, 3] })).toEqual([one, two]);
    expect(await list({ customerId: "customer-7" })).toEqual([three]);
    expect(await list({ countryCode: "SE" })).toEqual(["+4687654321"]);
    expect(await list({ numberPrefix: "+46" })).toEqual(["+4687654321"]);
    expect(await list({ states: [1], countryCode: "DK" })).toEqual([three]);
    const page = await carrier.listNumbers({ pageSize: 1, filter: { states: [1, 2] } });
    expect(page.nextPageToken).not.toBe("");
    const next = { pageSize: 1, pageToken: page.nextPageToken };
    expect((await carrier.listNumbers({ ...next, filter: { states: [2, 1] } })).numbers).toHaveLength(1);
    for (const call of [
      () => carrier.listNumbers(next),
      () => carrier.listNumbers({ ...next, filter: { states: [1] } }),
      () => alpha.listNumbers({ ...next, filter: { states: [1, 2] } }),
      () => platform.listNumbers({ ...next, carrierId: "filters", filter: { states: [1, 2] } }),
      () => carrier.listNumbers({ pageToken: "nonsense" }),
    ]) {
      expect(await errorOf(call())).toMatchObject({ code: "InvalidArgument", reason: "PAGE_TOKEN_INVALID" });
    }
    for (const filter of [
      { states: [0] },
      { states: [9] },
      { customerId: "" },
      { countryCode: "dk" },
      { countryCode: "" },
      { numberPrefix: "45" },
      { numberPrefix: "+" },
    ]) {
      expect(await errorOf(carrier.listNumbers({ filter }))).toMatchObject({
        code: "InvalidArgument",
        reason: "INVALID_ARGUMENT",
      });
    }
    expect(await errorOf(carrier.listNumbers({ pageSize: -1 }))).toMatchObject({ reason: "INVALID_ARGUMENT" });
  });

  test("the platform lists across carriers by number, then carrier, past holdings too", async () => {
    const number = takeNumber();
    await provision(beta, [number]);
    await release(beta, [number]);
    await provision(alpha, [number]);
    const filter = { numberPrefix: number };
    const { numbers } = await platform.listNumbers({ filter });
    expect(numbers.map((row) => `${row.carrierId} ${NumberState[row.state]}`)).toEqual([
      "alpha PROVISIONED",
      "beta RELEASED",
    ]);
    const first = await platform.listNumbers({ filter, pageSize: 1 });
    const second = await platform.listNumbers({ filter, pageSize: 1, pageToken: first.nextPageToken });
    expect([...first.numbers, ...second.numbers].map((row) => row.carrierId)).toEqual(["alpha", "beta"]);
    expect(second.nextPageToken).toBe("");
    expect((await platform.listNumbers({ filter, carrierId: "beta" })).numbers).toHaveLength(1);
    expect(await errorOf(platform.listNumbers({ carrierId: "nobody" }))).toMatchObject({ reason: "CARRIER_NOT_FOUND" });
  });

  test("history is paged, cut to an interval, and empty for a number without any", async () => {
    const number = takeNumber();
    for (let round = 0; round < 3; round++) {
      await provision(alpha, [number]);
      await release(alpha, [number]);
    }
    const all = await platform.listNumberHistory({ phoneNumber: number });
    expect(all.periods).toHaveLength(3);
    const first = await platform.listNumberHistory({ phoneNumber: number, pageSize: 2 });
    const rest = await platform.listNumberHistory({ phoneNumber: number, pageSize: 2, pageToken: first.nextPageToken });
    expect([...first.periods, ...rest.periods]).toEqual(all.periods);
    const middle = all.periods[1]?.number;
    const interval = { startTime: middle?.effectiveStartTime, endTime: middle?.effectiveEndTime };
    expect((await platform.listNumberHistory({ phoneNumber: number, ...(interval as object) })).periods).toEqual([
      all.periods[1],
    ]);
    expect((await platform.listNumberHistory({ phoneNumber: takeNumber() })).periods).toEqual([]);
    expect(
      await errorOf(platform.listNumberHistory({ phoneNumber: number, startTime: fromNow(0), endTime: fromNow(-1) })),
    ).toMatchObject({
      reason: "INVALID_ARGUMENT",
    });
  });

  test("a page of the feed has every change that the filter matches before or after, and says which left it", async () => {
    await exchange.addCarrier("feed");
    const carrier = await exchange.carrierClient(NumberService, "feed");
    const [one, two] = takeNumbers(2) as [string, string];
    await provision(carrier, [one, two]);
    await assign("feed", one);
    await unassign("feed", one);
    const read = (filter: object | undefined, more = {}) =>
      carrierTransaction(exchange.services.db, "feed", (tx) =>
        readNumberPage(
          tx,
          { carrierId: "feed", after: { sequence: 0n, ingestTime: 0n }, until: undefined, limit: 100, ...more },
          filter,
        ),
      );
    const all = await read(undefined);
    expect(all.entries.map((entry) => entry.sequence)).toEqual([1n, 2n, 3n, 4n]);
    expect(all).toMatchObject({ throughSequence: 4n, head: { headSequence: 4n, earliestSequence: 1n, epoch: 1n } });
    expect(all.throughIngestTime).toBe(all.entries[3]?.ingestTime);
    const assigned = await read({ states: [2] });
    expect(assigned.entries.map(({ sequence, leftFilter }) => [sequence, leftFilter])).toEqual([
      [3n, false],
      [4n, true],
    ]);
    const ofTwo = await read({ numberPrefix: two });
    expect(ofTwo.entries.map((entry) => entry.sequence)).toEqual([2n]);
    expect(ofTwo).toMatchObject({ throughSequence: 4n, throughIngestTime: all.entries[3]?.ingestTime });
    expect(await read(undefined, { limit: 2 })).toMatchObject({ throughSequence: 2n });
    expect(await read(undefined, { until: 3n })).toMatchObject({ throughSequence: 3n });
    expect(await read(undefined, { after: { sequence: 4n, ingestTime: 0n } })).toMatchObject({
      throughSequence: 4n,
      throughIngestTime: 0n,
      entries: [],
    });
    expect((await read({ states: [2] }, { limit: 1 })).throughSequence).toBe(3n);
  });
});

describe("isolation and limits", () => {
  test("no method shows another carrier's number, or that it exists", async () => {
    const number = takeNumber();
    await provision(alpha, [number]);
    const unknown = takeNumber();
    const strip = (error: { message: string; metadata: unknown }) => ({ ...error, metadata: undefined });
    expect(strip(await errorOf(beta.getNumber({ phoneNumber: number })))).toEqual(
      strip(await errorOf(beta.getNumber({ phoneNumber: unknown }))),
    );
    expect((await beta.listNumbers({ filter: { numberPrefix: number } })).numbers).toEqual([]);
    const [theirs, nobodys] = await release(beta, [number, unknown]);
    expect(theirs && { ...theirs, phoneNumber: "" }).toEqual(nobodys && { ...nobodys, phoneNumber: "" });
    expect((await alpha.getNumber({ phoneNumber: number })).number?.state).toBe(NumberState.PROVISIONED);
  });

  test("a carrier that probes for others' numbers is told to wait, and it is on record", async () => {
    await exchange.addCarrier("prober");
    const prober = await exchange.carrierClient(NumberService, "prober");
    const numbers = takeNumbers(1_000);
    await provision(alpha, numbers);
    const outcomes = await provision(prober, numbers);
    expect(outcomes.every((outcome) => describeOutcome(outcome) === "NUMBER_UNAVAILABLE phone_number")).toBe(true);
    expect(await errorOf(provision(prober, [takeNumber()]))).toMatchObject({
      code: "ResourceExhausted",
      reason: "RATE_LIMITED",
    });
    expect((await provision(beta, [takeNumber()])).map(describeOutcome)).toEqual(["PROVISIONED"]);
  });

  test("hostile input gets a clear reason", async () => {
    for (const phoneNumber of [
      "",
      "+",
      "'; DROP TABLE carrier; --",
      "\u0000",
      "+45\u0000",
      "＋4532123456",
      "+".repeat(10_000),
      "+4532123456\n",
    ]) {
      expect(await errorOf(alpha.getNumber({ phoneNumber }))).toMatchObject({
        code: "InvalidArgument",
        reason: "NUMBER_INVALID",
      });
      expect(await errorOf(platform.getNumber({ phoneNumber }))).toMatchObject({
        code: "InvalidArgument",
        reason: "NUMBER_INVALID",
      });
    }
    for (const requestId of ["", "x".repeat(65), "a\u0000b", "a\nb"]) {
      expect(await errorOf(alpha.provisionNumbers({ requestId, items: [provisionItem(takeNumber())] }))).toMatchObject({
        reason: "INVALID_ARGUMENT",
      });
    }
    const wrong: [object, string][] = [
      [{ numberType: 0 }, "number_type"],
      [{ numberType: 7 }, "number_type"],
      [{ numberType: -1 }, "number_type"],
      [{ usages: [] }, "usages"],
      [{ usages: [0] }, "usages"],
      [{ capabilities: [] }, "capabilities"],
      [{ capabilities: [6] }, "capabilities"],
      [{ countryCode: undefined }, "country_code"],
      [{ countryCode: "dk" }, "country_code"],
      [{ countryCode: "'; --" }, "country_code"],
      [{ locationId: "" }, "location_id"],
      [{ locationId: "Vej 7, København" }, "location_id"],
      [{ customerReference: "" }, "customer_reference"],
      [{ customerReference: "x".repeat(61) }, "customer_reference"],
      [{ customerReference: "a\u0000b" }, "customer_reference"],
      [{ customerReference: "a\u001b[2J" }, "customer_reference"],
      [{ customerId: "a/b" }, "customer_id"],
      [{ customerId: "x".repeat(65) }, "customer_id"],
    ];
    const items = wrong.map(([more]) => provisionItem(takeNumber(), more));
    const { outcomes } = await alpha.provisionNumbers({ requestId: newRequestId(), items });
    expect(outcomes.map(describeOutcome)).toEqual(wrong.map(([, field]) => `INVALID_ARGUMENT ${field}`));
    const references = ["æ".repeat(60), "😀".repeat(60)].map((customerReference) =>
      provisionItem(takeNumber(), { customerReference }),
    );
    const accepted = await alpha.provisionNumbers({ requestId: newRequestId(), items: references });
    expect(accepted.outcomes.map(describeOutcome)).toEqual(["PROVISIONED", "PROVISIONED"]);
  });
});
