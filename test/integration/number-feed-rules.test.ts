import { type Client, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tandemReason } from "../../src/client/errors.ts";
import { followNumbers, memoryCursorStore } from "../../src/client/index.ts";
import { NumberService, type WatchNumbersResponse } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { NumberService as PlatformNumberService } from "../../src/gen/tandem/platform/v1/platform_number_service_pb.js";
import type { PhoneNumber } from "../../src/gen/tandem/type/v1/phone_number_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";

let exchange: Exchange;
let platform: Client<typeof PlatformNumberService>;
let requests = 0;

beforeAll(async () => {
  exchange = await startExchange({ heartbeatIntervalMs: 100 });
  platform = await exchange.platformClient(PlatformNumberService);
});
afterAll(() => exchange[Symbol.asyncDispose]());

async function newCarrier(carrierId: string): Promise<Client<typeof NumberService>> {
  await exchange.addCarrier(carrierId);
  return createClient(NumberService, await exchange.carrierTransport(carrierId));
}

function numberOf(index: number, prefix = "+44163296"): string {
  return `${prefix}${String(index).padStart(4, "0")}`;
}

async function provision(client: Client<typeof NumberService>, numbers: readonly string[]): Promise<void> {
  const items = numbers.map((phoneNumber) => ({
    phoneNumber,
    numberType: 1,
    usages: [1],
    capabilities: [1],
    countryCode: "GB",
  }));
  const { outcomes } = await client.provisionNumbers({ requestId: `r${++requests}`, items });
  expect(outcomes.filter((outcome) => outcome.result.case !== "number")).toEqual([]);
}

async function assign(carrierId: string, numbers: readonly string[], customerId = "customer-1"): Promise<void> {
  const items = numbers.map((phoneNumber) => ({ phoneNumber, customerId, assigneeKind: 1 }));
  const { outcomes } = await platform.assignNumbers({ requestId: `r${++requests}`, carrierId, items });
  expect(outcomes.filter((outcome) => outcome.result.case !== "number")).toEqual([]);
}

/** A mirror, kept as rule 6 says: a change is applied if its revision is greater. */
function applyTo(mirror: Map<string, PhoneNumber>, message: WatchNumbersResponse): void {
  const { frame } = message;
  const put = (row: PhoneNumber) => {
    const known = mirror.get(row.phoneNumber);
    if (!known || row.revision > known.revision) mirror.set(row.phoneNumber, row);
  };
  if (frame.case === "snapshot") frame.value.numbers.forEach(put);
  if (frame.case !== "batch") return;
  for (const { change, leftFilter } of frame.value.changes) {
    if (change.case !== "phoneNumber") continue;
    if (leftFilter) mirror.delete(change.value.phoneNumber);
    else put(change.value);
  }
}

async function listAll(client: Client<typeof NumberService>): Promise<{ rows: PhoneNumber[]; watchCursor: string }> {
  const rows: PhoneNumber[] = [];
  let pageToken = "";
  let watchCursor = "";
  do {
    const page = await client.listNumbers({ pageSize: 50, pageToken });
    rows.push(...page.numbers);
    watchCursor ||= page.watchCursor;
    expect(page.watchCursor).toBe(watchCursor);
    pageToken = page.nextPageToken;
  } while (pageToken);
  return { rows, watchCursor };
}

describe("feed rule 6, numbers", () => {
  test("the initial state sends the current rows, then Synced, then changes, all in the feed's ranges", async () => {
    const client = await newCarrier("six-a");
    await provision(
      client,
      Array.from({ length: 1_000 }, (_, index) => numberOf(index)),
    );
    await provision(
      client,
      Array.from({ length: 500 }, (_, index) => numberOf(1_000 + index)),
    );
    const frames: string[] = [];
    const mirror = new Map<string, PhoneNumber>();
    const stop = new AbortController();
    let position: bigint | undefined;
    try {
      for await (const message of client.watchNumbers({ initialState: true }, { signal: stop.signal })) {
        const { frame, afterSequence, throughSequence } = message;
        position ??= afterSequence;
        expect(afterSequence).toBe(position);
        position = throughSequence;
        if (frame.case === "snapshot" || frame.case === "synced")
          expect([afterSequence, throughSequence]).toEqual([1_500n, 1_500n]);
        if (frame.case !== "heartbeat") frames.push(frame.case ?? "");
        applyTo(mirror, message);
        if (frame.case === "caughtUp") await assign("six-a", [numberOf(7)]);
        if (frame.case === "batch") stop.abort();
      }
    } catch (error) {
      if (!stop.signal.aborted) throw error;
    }
    expect(frames).toEqual(["opened", "snapshot", "snapshot", "synced", "caughtUp", "batch"]);
    expect(mirror.size).toBe(1_500);
    expect(mirror.get(numberOf(7))).toMatchObject({ customerId: "customer-1", revision: 1_501n });
  });

  test("a snapshot that is cut resumes from its cursor and misses no row", async () => {
    const client = await newCarrier("six-b");
    const numbers = Array.from({ length: 2_400 }, (_, index) => numberOf(index, "+44163297"));
    for (let start = 0; start < numbers.length; start += 800)
      await provision(client, numbers.slice(start, start + 800));
    const mirror = new Map<string, PhoneNumber>();
    let cursor = "";
    let cuts = 0;
    for (let synced = false; !synced; ) {
      const stop = new AbortController();
      const start =
        cursor === "" ? { initialState: true } : { start: { position: { case: "cursor" as const, value: cursor } } };
      try {
        for await (const message of client.watchNumbers(start, { signal: stop.signal })) {
          applyTo(mirror, message);
          cursor = message.cursor;
          if (message.frame.case === "opened") await assign("six-b", [numbers[2_399 - cuts] ?? ""]);
          if (message.frame.case === "synced") expect(message.frame.value.numberCount).toBe(2_400n);
          synced ||= message.frame.case === "synced";
          if (message.frame.case === "opened" && cuts > 0) continue;
          cuts++;
          stop.abort();
        }
      } catch (error) {
        if (!stop.signal.aborted) throw error;
      }
    }
    expect(cuts).toBeGreaterThanOrEqual(3);
    expect([...mirror.keys()].sort()).toEqual(numbers.toSorted());
  });

  test("list, then watch from watch_cursor, converges while rows change and vanish", async () => {
    const client = await newCarrier("six-c");
    const numbers = Array.from({ length: 400 }, (_, index) => numberOf(index, "+44163298"));
    await provision(client, numbers);
    const changing = (async () => {
      for (let turn = 0; turn < 12; turn++) {
        await assign("six-c", [numbers[turn * 31] ?? ""]);
        await client.releaseNumbers({ requestId: `r${++requests}`, phoneNumbers: [numbers[turn * 31 + 1] ?? ""] });
        if (turn % 3 === 0) await provision(client, [numbers[turn * 31 + 1] ?? ""]);
      }
    })();
    const { rows, watchCursor } = await listAll(client);
    await changing;
    const mirror = new Map(rows.map((row) => [row.phoneNumber, row]));
    const start = { position: { case: "cursor" as const, value: watchCursor } };
    for await (const message of client.watchNumbers({ start, end: { position: { case: "head", value: {} } } }))
      applyTo(mirror, message);
    const { rows: now } = await listAll(client);
    expect([...mirror.values()].map(fingerprint).sort()).toEqual(now.map(fingerprint).sort());
  });

  test("a change that leaves the filter is sent as such", async () => {
    const client = await newCarrier("six-d");
    const numbers = Array.from({ length: 3 }, (_, index) => numberOf(index, "+44163299"));
    await provision(client, numbers);
    await assign("six-d", numbers, "customer-a");
    await platform.unassignNumbers({
      requestId: `r${++requests}`,
      carrierId: "six-d",
      phoneNumbers: [numbers[1] ?? ""],
    });
    const seen: [string, boolean][] = [];
    const filter = { customerId: "customer-a" };
    const request = {
      start: { position: { case: "earliest" as const, value: {} } },
      end: { position: { case: "head" as const, value: {} } },
      filter,
    };
    let position: bigint | undefined;
    for await (const { frame, afterSequence, throughSequence } of client.watchNumbers(request)) {
      expect(afterSequence).toBe(position ?? afterSequence);
      position = throughSequence;
      if (frame.case !== "batch") continue;
      for (const { change, leftFilter } of frame.value.changes) {
        if (change.case === "phoneNumber") seen.push([change.value.phoneNumber, leftFilter]);
      }
    }
    expect(position).toBe(7n);
    expect(seen).toEqual([...numbers.map((number): [string, boolean] => [number, false]), [numbers[1] ?? "", true]]);
  });

  test("released and provisioned again: one number, one row, a greater revision", async () => {
    const client = await newCarrier("six-e");
    const number = numberOf(1, "+44163295");
    await provision(client, [number]);
    await client.releaseNumbers({ requestId: `r${++requests}`, phoneNumbers: [number] });
    await provision(client, [number]);
    const { rows } = await listAll(client);
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ phoneNumber: number, state: 1, revision: 3n });
  });

  test("neither a start nor the initial state is refused, and so is a start that does not go with it", async () => {
    const client = await newCarrier("six-f");
    const first = async (request: Parameters<typeof client.watchNumbers>[0]) => {
      for await (const message of client.watchNumbers(request)) return message;
      return undefined;
    };
    for (const request of [
      {},
      { initialState: true, start: { position: { case: "earliest" as const, value: {} } } },
      { start: { position: { case: "consumer" as const, value: "warehouse" } } },
    ]) {
      const error = await first(request).catch((caught: unknown) => caught);
      expect(tandemReason(error)).toMatchObject({ reason: "INVALID_ARGUMENT" });
    }
  });

  test("the client's follower mirrors the numbers of a live carrier", async () => {
    const client = await newCarrier("six-g");
    const numbers = Array.from({ length: 30 }, (_, index) => numberOf(index, "+44163294"));
    await provision(client, numbers);
    const mirror = new Map<string, PhoneNumber>();
    const stop = new AbortController();
    const following = followNumbers(client, {
      start: "initialState",
      store: memoryCursorStore(),
      signal: stop.signal,
      apply: async (run) => {
        if (run.kind === "SNAPSHOT") for (const row of run.numbers) mirror.set(row.phoneNumber, row);
        if (run.kind === "SYNCED") expect(run.numberCount).toBe(30n);
        for (const { change } of run.kind === "CHANGES" ? run.changes : [])
          if (change.case === "phoneNumber") mirror.set(change.value.phoneNumber, change.value);
        if ([...mirror.values()].filter((row) => row.customerId === "customer-1").length === 30) stop.abort();
      },
    });
    await assign("six-g", numbers);
    await following;
    expect(mirror.size).toBe(30);
    for (const row of mirror.values()) expect(row.sipUri).toBe(`sip:${row.phoneNumber}@six-g.example;user=phone`);
  });
});

function fingerprint(row: PhoneNumber): string {
  return `${row.phoneNumber} ${row.state} ${row.customerId ?? "-"} ${row.revision}`;
}
