import type { DescMethod } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { listRoutes } from "../../src/rpc/routes.ts";
import { type AnyRequest, type CallOutcome, callAny } from "../support/any-call.ts";
import { listMethods, listServices, methodName } from "../support/contract.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { runSql } from "../support/feed.ts";
import { ISOLATION_CASES, type IsolationCase, WRITING_METHODS } from "../support/isolation-cases.ts";
import { describeOutcome, provisionItem } from "../support/numbers.ts";
import { type CarrierNames, furnishCarrier, namesNowhere } from "../support/two-carriers.ts";
import { durationUpload, someRecords } from "../support/upload-kinds.ts";
import { UploadStream } from "../support/upload-stream.ts";

const CARRIER_METHODS = await listMethods("carrier");
const TRIED = CARRIER_METHODS.flatMap((method) =>
  (ISOLATION_CASES[methodName(method)] ?? []).map((tried) => ({
    method,
    tried,
    name: `${methodName(method)}: ${tried.what}`,
    isWrite: WRITING_METHODS.has(methodName(method)),
  })),
).sort((a, b) => Number(a.isWrite) - Number(b.isWrite));
const PLATFORM_METHODS = await listMethods("platform");

let exchange: Exchange;
/** The carrier that is reached for, the one that reaches, and names of nobody's. */
let acme: CarrierNames;
let bolt: CarrierNames;
let nowhere: CarrierNames;
let asBolt: Transport;

beforeAll(async () => {
  exchange = await startExchange();
  acme = await furnishCarrier(exchange, "acme", 1);
  bolt = await furnishCarrier(exchange, "bolt", 2);
  nowhere = namesNowhere("nope", 8, acme);
  asBolt = await exchange.carrierTransport("bolt");
});
afterAll(() => exchange[Symbol.asyncDispose]());

test("every service of the contract is served, and every method of a carrier's has its cases here", async () => {
  const served = listRoutes(exchange.services).map(({ service }) => service.typeName);
  const contract = [...(await listServices("carrier")), ...(await listServices("platform"))];
  expect(served.toSorted()).toEqual(contract.map((service) => service.typeName).sort());
  expect(Object.keys(ISOLATION_CASES).sort()).toEqual(CARRIER_METHODS.map(methodName).sort());
});

describe("another carrier's names are told from nobody's in no way", () => {
  // One after another: the last two tests look at what the others left.
  const seen = new Map<IsolationCase, unknown>();
  let before: Record<string, string>;
  beforeAll(async () => {
    before = await readRowsOf("acme");
  });

  test.each(TRIED)("$name", async ({ method, tried }) => {
    seen.set(tried, await expectBlind(method, tried));
  });

  test("and nothing of that carrier's was changed by any of it", async () => {
    expect(seen.size).toBe(TRIED.length);
    expect(await readRowsOf("acme")).toEqual(before);
  });

  test("while the owner's own calls with the same names get other answers", async () => {
    const asAcme = await exchange.carrierTransport("acme");
    for (const { method, tried, name } of TRIED) {
      const owners = await callAny(asAcme, method, tried.request(acme, acme));
      expect(owners.reason, name).not.toBe("INTERNAL");
      if (!tried.sameForOwner) expect(blur(owners, acme, acme), name).not.toEqual(seen.get(tried));
    }
  });
});

/**
 * Tries another's names and nobody's, which must make no difference, and returns the answer without
 * them.
 */
async function expectBlind(method: DescMethod, tried: IsolationCase): Promise<string> {
  const theirs = await callAny(asBolt, method, tried.request(acme, bolt));
  const nobodys = await callAny(asBolt, method, tried.request(nowhere, bolt));
  expect(theirs.reason).toBe(tried.expected);
  const blurred = blur(theirs, acme, bolt);
  expect(blurred).toEqual(blur(nobodys, nowhere, bolt));
  // Beyond what the request named, nothing of the other's.
  const sent = JSON.stringify(tried.request(acme, bolt), bigintText);
  for (const value of Object.values(acme))
    if (!sent.includes(value)) expect(JSON.stringify(theirs)).not.toContain(value);
  expect(blurred).not.toContain("acme");
  return blurred;
}

test("NUMBER_UNAVAILABLE is the one answer that shows another's holding, and it shows no more than that", async () => {
  const client = await exchange.carrierClient(NumberService, "bolt");
  const ask = async (phoneNumber: string) => {
    const items = [provisionItem(phoneNumber, { countryCode: "GB" })];
    const { outcomes } = await client.provisionNumbers({ requestId: crypto.randomUUID(), items });
    return outcomes[0];
  };
  const assigned = await ask(acme.number);
  expect(assigned && describeOutcome(assigned)).toBe("NUMBER_UNAVAILABLE phone_number");
  expect(JSON.stringify(assigned, bigintText)).not.toMatch(/acme/);
  expect(await ask(nowhere.number).then((outcome) => outcome && describeOutcome(outcome))).toBe("PROVISIONED");
  // What its holder has given back is free.
  expect(await ask(acme.releasedNumber).then((outcome) => outcome && describeOutcome(outcome))).toBe("PROVISIONED");
});

test("an upload id of another carrier's live upload opens one of one's own, and does not fence the other's", async () => {
  const uploadId = "live";
  const records = someRecords(0, 4, { calling: acme.callNumber });
  await using theirs = await UploadStream.open(exchange, durationUpload, "acme", { uploadId });
  const opened = await theirs.next("opened");
  theirs.batch(0, records.slice(0, 2));
  await theirs.committed(2);

  await using own = await UploadStream.open(exchange, durationUpload, "bolt", { uploadId });
  expect(await own.next("opened")).toMatchObject({ committedOffset: 0n, writerEpoch: opened.writerEpoch });
  const others = someRecords(0, 1, { calling: bolt.callNumber });
  own.batch(0, others);
  expect(await own.committed(1)).toMatchObject([{ counts: { accepted: 1n, duplicate: 0n, conflict: 0n } }]);
  own.finish(others);
  expect(await own.receipt()).toMatchObject({ finalOffset: 1n });

  theirs.batch(2, records.slice(2));
  await theirs.committed(4);
  theirs.finish(records);
  expect(await theirs.receipt()).toMatchObject({ finalOffset: 4n, counts: { accepted: 4n } });
});

// Which principal reaches which method, and with which scope, is in privacy-access-matrix.test.ts.
describe("the package is the wall", () => {
  test.each(PLATFORM_METHODS.map((method) => [method.parent.typeName, method.name, method] as const))(
    "a carrier's credential at %s/%s is PERMISSION_DENIED, whatever it names",
    async (_service, _name, method) => {
      const answers: CallOutcome[] = [];
      for (const names of [acme, nowhere]) answers.push(await callAny(asBolt, method, naming(method, names)));
      expect(answers[0]).toMatchObject({ answers: [], reason: "PERMISSION_DENIED" });
      expect(answers[0]).toEqual(answers[1]);
    },
  );

  test.each(CARRIER_METHODS.map((method) => [method.parent.typeName, method.name, method] as const))(
    "the platform's credential at %s/%s is PERMISSION_DENIED, whatever it names",
    async (_service, _name, method) => {
      const platform = await exchange.platformTransport();
      const answers: CallOutcome[] = [];
      for (const names of [acme, nowhere]) answers.push(await callAny(platform, method, naming(method, names)));
      expect(answers[0]).toMatchObject({ answers: [], reason: "PERMISSION_DENIED" });
      expect(answers[0]).toEqual(answers[1]);
    },
  );
});

/** A request with a name in each of its text fields. */
function naming(method: DescMethod, names: CarrierNames): AnyRequest {
  const texts = method.input.fields.filter((field) => field.fieldKind === "scalar" && field.scalar === 9);
  const known = names as unknown as Record<string, string>;
  const request = Object.fromEntries(
    texts
      .filter((field) => field.oneof === undefined)
      .map((field) => [field.localName, known[field.localName] ?? names.number]),
  );
  return method.methodKind === "unary" || method.methodKind === "server_streaming" ? request : [request];
}

// Told apart by nothing that a call has for itself: ids and times of the call, and opaque cursors
// of the caller's own. A revision counts calls.
const VOLATILE =
  /"(sessionId|\w*[tT]ime|cursor|watchCursor|nextPageToken|lagMs|revision|retryDelay|writerEpoch)":"?[^",}]*"?/g;

/** An outcome without the names that went in. */
function blur(outcome: CallOutcome, names: CarrierNames, own: CarrierNames): string {
  let text = JSON.stringify(outcome, bigintText).replaceAll('\\"', '"').replace(VOLATILE, '"$1":"~"');
  const named = Object.entries(names).sort(([, a], [, b]) => b.length - a.length);
  for (const [key, value] of named) text = text.replaceAll(value, `<${key}>`);
  if (names !== own) text = text.replaceAll(names.carrierId, "<carrierId>");
  return text;
}

function bigintText(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

/** A digest of all that is stored of a carrier, by table. */
async function readRowsOf(carrierId: string): Promise<Record<string, string>> {
  const tables = await runSql<{ name: string }>(
    exchange,
    sql`SELECT c.relname AS name FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'carrier_id'
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace`,
  );
  const digests: Record<string, string> = {};
  for (const { name } of tables) {
    const [row] = await runSql<{ digest: string }>(
      exchange,
      sql`SELECT count(*) || ' ' || md5(string_agg(t::text, ',' ORDER BY t::text)) AS digest FROM ${sql.table(name)} t WHERE carrier_id = ${carrierId}`,
    );
    digests[name] = row?.digest ?? "";
  }
  return digests;
}
