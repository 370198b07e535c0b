import { type DescMethod, type Message, toBinary, toJson } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BadRequestSchema, ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { openLog } from "../../src/log.ts";
import { listMethods, methodName } from "../support/contract.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { type ExtremeRequest, extremeRequests } from "../support/extreme-times.ts";
import { furnishCarrier } from "../support/two-carriers.ts";

/** What is asked for a period and only reads; usage begins with 1970. */
const READS = /^(List|SummarizeQuality|GetReconciliationSummary)/;
/** Periods of the first and of the last day that there are. */
const OUTERMOST_DAYS =
  /start_(?:time=-62135596800s0ns \S*end_time=-62135510400s0ns|time=253402214399s0ns \S*end_time=|date=0001-01-01 \S*end_date=0001-01-02|date=9999-12-30 \S*end_date=)/;

/** How many calls are in flight at a time. */
const LANES = 8;
/** Of so many requests one is sent in JSON too: times are read the same way. */
const JSON_EACH = 4;
const METHODS = [...(await listMethods("carrier")), ...(await listMethods("platform"))];
const resources = new AsyncDisposableStack();
const logged: string[] = [];
let exchange: Exchange;
let transports: Record<"binary" | "json", Record<"carrier" | "platform", Transport>>;

beforeAll(async () => {
  const settings = { maxCallsPerSecond: 1_000_000, maxBytesPerSecond: 2 ** 40, synchronousCommit: "off" } as const;
  exchange = resources.use(
    await startExchange(
      settings,
      openLog("warn", (line) => logged.push(line)),
    ),
  );
  for (const [index, name] of ["acme", "bolt"].entries()) await furnishCarrier(exchange, name, index + 1);
  const tokens = { carrier: await exchange.carrierToken("acme"), platform: await exchange.platformToken() };
  transports = {
    binary: { carrier: await exchange.carrierTransport("acme"), platform: await exchange.platformTransport() },
    json: { carrier: jsonTransport(tokens.carrier), platform: jsonTransport(tokens.platform) },
  };
});
afterAll(() => resources.disposeAsync());

test.each(METHODS.filter(hasTimes).map((method) => [methodName(method), method] as const))(
  "%s answers every time at an extreme rightly or with a typed error, and logs nothing",
  async (_, method) => {
    const faults: string[] = [];
    const waiting = extremeRequests(method);
    let sent = 0;
    const lane = async () => {
      for (const request of waiting) {
        const encodings = sent++ % JSON_EACH === 0 ? (["binary", "json"] as const) : (["binary"] as const);
        for (const encoding of encodings) {
          const end = await endOf(method, request, encoding);
          if (end?.fault) faults.push(`${encoding} ${request.what}: ${end.fault}`);
        }
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    expect({ faults: faults.slice(0, 5), count: faults.length, logged: logged.splice(0).slice(0, 3) }).toEqual({
      faults: [],
      count: 0,
      logged: [],
    });
  },
);

test("lists and summaries of the calendar's first and last days are answered, and not refused", async () => {
  const ends: string[] = [];
  for (const method of METHODS.filter(({ name }) => READS.test(name))) {
    for (const request of extremeRequests(method)) {
      // Disclosures are of something: those of a number, and those of a period, have one of their
      // own.
      const isWhole = method.name !== "ListDisclosures" || /^(number|period)\./.test(request.what);
      if (!OUTERMOST_DAYS.test(request.what) || !isWhole) continue;
      const end = await endOf(method, request, "binary");
      ends.push(`${methodName(method)} ${end?.reason}`);
    }
  }
  expect(ends.length).toBeGreaterThan(20);
  expect(ends.filter((end) => !end.endsWith(" OK"))).toEqual([]);
});

interface End {
  readonly reason: string;
  readonly fault?: string;
}

/**
 * How a call ends, as far as its first answer if it is a stream that may go on for ever; undefined:
 * the encoding cannot say it.
 */
async function endOf(
  method: DescMethod,
  { messages }: ExtremeRequest,
  encoding: "binary" | "json",
): Promise<End | undefined> {
  if (encoding === "json" && !messages.every((message) => isJson(method, message))) return undefined;
  const side = method.parent.typeName.startsWith("tandem.platform.") ? "platform" : "carrier";
  try {
    await callOnce(transports[encoding][side], method, messages);
    return { reason: "OK" };
  } catch (thrown) {
    return judge(ConnectError.from(thrown));
  }
}

function judge(error: ConnectError): End {
  const [info] = error.findDetails(ErrorInfoSchema);
  const text = `${Code[error.code]} ${info?.reason}: ${error.rawMessage}`;
  const reason = info?.reason ?? text;
  const isForeseen = info !== undefined && !["INTERNAL", "STORE_UNAVAILABLE"].includes(reason);
  if (!isForeseen) return { reason, fault: text };
  const violations = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  const isNamed = violations.some(({ field }) => field !== "") || info.metadata["field"];
  if (error.code === Code.InvalidArgument && !isNamed) return { reason, fault: `no field is named: ${text}` };
  return { reason };
}

async function callOnce(over: Transport, method: DescMethod, messages: readonly Message[]): Promise<void> {
  if (method.methodKind === "unary") {
    await over.unary(method as never, undefined, 60_000, undefined, messages[0] as never);
    return;
  }
  const stop = new AbortController();
  try {
    const { message: answers } = await over.stream(
      method as never,
      stop.signal,
      60_000,
      undefined,
      each(messages) as never,
    );
    // An export answers with a header before it looks for anything.
    const isEndless = method.methodKind === "server_streaming" && !method.name.startsWith("Export");
    for await (const _ of answers) if (isEndless) return;
  } finally {
    stop.abort();
  }
}

async function* each(messages: readonly Message[]): AsyncGenerator<Message> {
  yield* messages;
}

function isJson(method: DescMethod, message: Message): boolean {
  try {
    toJson(method.input, message);
    return method.methodKind === "unary" || method.methodKind === "server_streaming";
  } catch {
    return false;
  }
}

function hasTimes(method: DescMethod): boolean {
  const [first] = extremeRequests(method);
  return first !== undefined && toBinary(method.input, first.messages.at(-1) as never).length >= 0;
}

function jsonTransport(token: string): Transport {
  return createConnectTransport({
    baseUrl: exchange.url,
    httpVersion: "2",
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
    idleConnectionTimeoutMs: 1_000,
  });
}
