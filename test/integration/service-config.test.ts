// deploy/service-config.json is what carriers give to their gRPC: which calls it repeats by itself.
import { readFile } from "node:fs/promises";
import {
  create,
  type DescMethod,
  type DescService,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { type Metadata, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AgreementService } from "../../src/gen/tandem/carrier/v1/agreement_service_pb.js";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { PrivacyService } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { NumberType } from "../../src/gen/tandem/type/v1/phone_number_pb.js";
import { startAnswerCutter } from "../support/answer-cutter.ts";
import { listMethods } from "../support/contract.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { bearer, createGrpcJsClient } from "../support/grpc-js.ts";

interface MethodConfig {
  readonly name: readonly { readonly service: string; readonly method: string }[];
  readonly timeout?: string;
  readonly retryPolicy?: {
    readonly maxAttempts: number;
    readonly initialBackoff: string;
    readonly maxBackoff: string;
    readonly retryableStatusCodes: readonly string[];
  };
}

const text = await readFile(new URL("../../deploy/service-config.json", import.meta.url), "utf8");
const { methodConfig } = JSON.parse(text) as { methodConfig: readonly MethodConfig[] };
const METHODS = [...(await listMethods("carrier")), ...(await listMethods("platform"))];

const nameOf = ({ parent, name }: DescMethod) => `${parent.typeName}/${name}`;
const configsOf = (method: DescMethod) =>
  methodConfig.filter(({ name }) => name.some((each) => `${each.service}/${each.method}` === nameOf(method)));

/** What writes, has no request id, and may be repeated all the same. */
const SAME_AGAIN = new Set([
  // The offsets say which records they are.
  "tandem.carrier.v1.DurationService/AppendDurations",
  // A cursor that is stored already is stored.
  "tandem.carrier.v1.CdrService/CommitCdrCursor",
]);
/** What nobody but the client can go on with, or should not be written down twice. */
const NEVER_BY_ITSELF = [
  "tandem.carrier.v1.DurationService/UploadDurations",
  "tandem.platform.v1.CdrService/IngestCdrs",
  "tandem.platform.v1.PrivacyService/ExportPhoneNumber",
];

function mayBeRepeated(method: DescMethod): boolean {
  if (method.methodKind === "bidi_streaming" || method === PrivacyService.method.exportPhoneNumber) return false;
  if (method.idempotency !== Idempotency.IDEMPOTENCY_UNKNOWN) return true;
  return method.input.fields.some(({ name }) => name === "request_id") || SAME_AGAIN.has(nameOf(method));
}

describe("the service config", () => {
  test.each(METHODS.map((method) => [nameOf(method), method] as const))(
    "repeats %s only if that changes nothing, and only where the server may not have had it",
    (_name, method) => {
      const configs = configsOf(method);
      expect(configs).toHaveLength(mayBeRepeated(method) ? 1 : 0);
      for (const { retryPolicy, timeout } of configs) {
        expect(retryPolicy?.retryableStatusCodes).toEqual(["UNAVAILABLE"]);
        expect(retryPolicy?.maxAttempts).toBe(5);
        // A stream lives for hours, and resumes by its cursor.
        expect(timeout !== undefined).toBe(method.methodKind === "unary");
      }
    },
  );

  test("names methods that there are, and leaves these to their clients", () => {
    const named = methodConfig.flatMap(({ name }) => name.map(({ service, method }) => `${service}/${method}`));
    const left = METHODS.map(nameOf).filter((name) => !named.includes(name));
    expect(left.toSorted()).toEqual(NEVER_BY_ITSELF);
    expect(named.filter((name) => !METHODS.some((method) => nameOf(method) === name))).toEqual([]);
  });
});

let app: Exchange;
let metadata: Metadata;
beforeAll(async () => {
  app = await startExchange();
  await app.addCarrier("alpha");
  metadata = bearer(await app.carrierToken("alpha"));
});
afterAll(() => app?.[Symbol.asyncDispose]());

/** Calls a unary method by grpc-js. Rejects with its ServiceError. */
function call<M extends DescMethod>(
  client: ReturnType<typeof createGrpcJsClient>,
  method: M,
  request: MessageInitShape<M["input"]>,
): Promise<MessageShape<M["output"]>> {
  const methods = client as unknown as Record<string, (...values: unknown[]) => void>;
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, answer: MessageShape<M["output"]>) => (error ? reject(error) : resolve(answer));
    methods[method.localName]?.(create(method.input, request), metadata, done);
  });
}

/** A client of grpc-js with the service config, or without one, whose next answers are lost. */
async function openLossy<S extends DescService>(service: S, count: number, config: string | undefined = text) {
  await using opening = new AsyncDisposableStack();
  const proxy = opening.use(await startAnswerCutter(app.url));
  const client = opening.use(
    createGrpcJsClient(service, proxy.url, {
      ...(config === "" ? {} : { "grpc.service_config": config }),
      // A channel of its own: another client's has another config.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.initial_reconnect_backoff_ms": 100,
    }),
  );
  proxy.loseNext(count);
  const opened = opening.move();
  return { client, proxy, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

describe("grpc-js with the service config", () => {
  test("asks again for an answer that was lost, and without it does not", async () => {
    await using lossy = await openLossy(AgreementService, 2);
    const { agreement } = await call(lossy.client, AgreementService.method.getAgreement, {});
    expect(agreement?.carrierId).toBe("alpha");
    expect(lossy.proxy.lost).toBe(2);
    await using plain = await openLossy(AgreementService, 1, "");
    await expect(call(plain.client, AgreementService.method.getAgreement, {})).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    });
  });

  test("provisions a number once, though the first two answers were lost", async () => {
    await using lossy = await openLossy(NumberService, 2);
    const item = { phoneNumber: "+4532123456", numberType: NumberType.GEOGRAPHIC, countryCode: "DK" };
    const { outcomes } = await call(lossy.client, NumberService.method.provisionNumbers, {
      requestId: "lost-twice",
      items: [{ ...item, usages: [1], capabilities: [1, 2] }],
    });
    expect(outcomes).toMatchObject([{ result: { case: "number" } }]);
    expect(lossy.proxy.lost).toBe(2);
    const { numbers } = await (await app.carrierClient(NumberService, "alpha")).listNumbers({});
    expect(numbers).toMatchObject([{ phoneNumber: "+4532123456", revision: 1n }]);
  });

  test("opens a feed again that was lost before its first message", async () => {
    await using lossy = await openLossy(CdrService, 1);
    const methods = lossy.client as unknown as { streamCdrs(...values: unknown[]): AsyncIterable<unknown> };
    const request = create(CdrService.method.streamCdrs.input, {
      start: { position: { case: "earliest", value: {} } },
      end: { position: { case: "head", value: {} } },
    });
    const frames = await Array.fromAsync(methods.streamCdrs(request, metadata));
    expect(frames).toMatchObject([{ frame: { case: "opened" } }, ...frames.slice(1)]);
    expect(lossy.proxy.lost).toBe(1);
  });

  test("leaves an upload to its client, which alone knows where to go on", async () => {
    await using lossy = await openLossy(DurationService, 1);
    const methods = lossy.client as unknown as {
      uploadDurations(metadata: Metadata): NodeJS.EventEmitter & { write(message: unknown): void };
    };
    const upload = methods.uploadDurations(metadata);
    const failed = new Promise((resolve) => upload.on("data", () => {}).once("error", resolve));
    upload.write(
      create(DurationService.method.uploadDurations.input, { frame: { case: "open", value: { uploadId: "u" } } }),
    );
    expect(await failed).toMatchObject({ code: status.UNAVAILABLE });
    expect(lossy.proxy.lost).toBe(1);
  });
});
