// A name that nobody knows would be lost without notice, and a number of which JSON loses digits
// would be another one. In every method, wherever in the request.
import { connect as connectHttp2, type IncomingHttpHeaders } from "node:http2";
import { buffer } from "node:stream/consumers";
import type { DescField, DescMessage, DescMethod, JsonValue } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { recordPathOf } from "../../src/rpc/intake/record-paths.ts";
import { listMethods, methodName } from "../support/contract.ts";
import { envelope } from "../support/curl.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";

const METHODS = [...(await listMethods("carrier")), ...(await listMethods("platform"))];
/** A misspelt name, which is also not one of the contract's. */
const MISSPELT = "requestID";
/** From here on a JSON number may stand for its neighbour. */
const BEYOND = 2 ** 53;

let app: Exchange;
const tokens = { carrier: "", platform: "" };
beforeAll(async () => {
  app = await startExchange({ maxRefusalsPerSecond: 0 });
  await app.addCarrier("alpha");
  tokens.carrier = await app.carrierToken("alpha");
  tokens.platform = await app.platformToken();
});
afterAll(() => app?.[Symbol.asyncDispose]());

interface Fault {
  readonly code: string;
  readonly message: string;
  readonly details: readonly { readonly type: string; readonly debug: { reason?: string; metadata?: object } }[];
}

/** What a method answers to a request in JSON: its error, or undefined. */
async function faultOf(method: DescMethod, request: JsonValue): Promise<Fault | undefined> {
  const isUnary = method.methodKind === "unary";
  const token = method.parent.typeName.startsWith("tandem.carrier") ? tokens.carrier : tokens.platform;
  const session = connectHttp2(app.url);
  try {
    const stream = session.request({
      ":method": "POST",
      ":path": `/${method.parent.typeName}/${method.name}`,
      "content-type": isUnary ? "application/json" : "application/connect+json",
      authorization: `Bearer ${token}`,
    });
    const head = new Promise<IncomingHttpHeaders>((resolve, reject) =>
      stream.once("response", resolve).once("error", reject),
    );
    stream.end(isUnary ? JSON.stringify(request) : envelope(request));
    const { ":status": status } = await head;
    const body = await buffer(stream);
    if (isUnary) return Number(status) === 200 ? undefined : JSON.parse(body.toString());
    return JSON.parse(body.subarray(5 + lastFrame(body)).toString()).error;
  } finally {
    session.destroy();
  }
}

/** Where the last frame begins. */
function lastFrame(body: Buffer): number {
  let at = 0;
  for (let next = 0; next < body.length; next += 5 + body.readUInt32BE(next + 1)) at = next;
  return at;
}

function expectNamed(fault: Fault | undefined, field: string): void {
  expect(fault).toMatchObject({ code: "invalid_argument", message: expect.stringContaining(field) });
  const infos = fault?.details.filter(({ type }) => type === "google.rpc.ErrorInfo");
  expect(infos).toMatchObject([{ debug: { reason: "INVALID_ARGUMENT", metadata: { field } } }]);
}

/** A place in a request: how it is written in JSON, and what the contract calls it. */
interface Place {
  readonly json: (value: JsonValue) => JsonValue;
  readonly path: string;
}

/** The first field of a kind in a request, outside of records, which have verdicts of their own. */
function findPlace(
  message: DescMessage,
  isWanted: (field: DescField) => boolean,
  record: DescMessage | undefined,
  within: readonly DescMessage[] = [],
): Place | undefined {
  if (message === record || within.includes(message) || message.typeName.startsWith("google.")) return undefined;
  for (const field of message.fields) {
    const isList = field.fieldKind === "list";
    const inner =
      field.message && !isWanted(field) ? findPlace(field.message, isWanted, record, [...within, message]) : undefined;
    const own: Place | undefined = isWanted(field) ? { json: (value) => value, path: "" } : inner;
    if (!own) continue;
    return {
      json: (value) => ({ [field.jsonName]: isList ? [own.json(value)] : own.json(value) }),
      path: `${field.name}${isList ? "[0]" : ""}${own.path && `.${own.path}`}`,
    };
  }
  return undefined;
}

const placesOf = (isWanted: (field: DescField) => boolean) =>
  METHODS.flatMap((method) => {
    const place = findPlace(method.input, isWanted, recordPathOf(method)?.record);
    return place ? [[methodName(method), method, place] as const] : [];
  });

const isMessage = ({ message }: DescField) => message !== undefined && !message.typeName.startsWith("google.");
/** int64, by descriptor.proto. */
const isWhole64 = ({ scalar }: DescField) => scalar === 3;

describe("a request in JSON", () => {
  test.each(METHODS.map((method) => [methodName(method), method] as const))(
    "with a misspelt name is refused by that name: %s",
    async (_name, method) => expectNamed(await faultOf(method, { [MISSPELT]: "x" }), MISSPELT),
  );

  const inside = placesOf(isMessage).filter(([, method, { path }]) => !isRecordPath(method, path));
  test.each(inside)("with a misspelt name inside is refused by its path: %s", async (_name, method, { json, path }) =>
    expectNamed(await faultOf(method, json({ [MISSPELT]: "x" })), `${path}.${MISSPELT}`),
  );

  test.each(placesOf((field) => field.enum !== undefined))(
    "with an enum's name that nobody knows is refused by its field: %s",
    async (_name, method, { json, path }) => expectNamed(await faultOf(method, json("STATUS_NEW")), path),
  );

  test.each(placesOf(isWhole64))(
    "with a number of which JSON loses digits is refused by its field, and says how to write it: %s",
    async (_name, method, { json, path }) => {
      const fault = await faultOf(method, json(BEYOND));
      expectNamed(fault, path);
      expect(fault?.message).toContain('such as "');
    },
  );

  test("reaches each kind of place in what writes", () => {
    const names = (places: ReturnType<typeof placesOf>) => places.map(([name]) => name);
    expect(names(inside)).toEqual(
      expect.arrayContaining(["CarrierService/UpdateCarrier", "PrivacyService/CreateHold"]),
    );
    expect(names(placesOf((field) => field.enum !== undefined))).toContain("NumberService/ProvisionNumbers");
    expect(names(placesOf(isWhole64))).toEqual(
      expect.arrayContaining([
        "DurationService/AppendDurations",
        "CdrService/IngestCdrs",
        "CarrierService/UpdateCarrier",
      ]),
    );
  });
});

function isRecordPath(method: DescMethod, path: string): boolean {
  const records = recordPathOf(method);
  return records !== undefined && path.endsWith(`${records.fields.at(-1)?.name}[0]`);
}
