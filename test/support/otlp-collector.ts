import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** A span as a collector gets it. */
export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Undefined: it begins its trace. */
  readonly parentSpanId: string | undefined;
  readonly name: string;
  /** As in the protocol: 1 internal, 2 server, 3 client. */
  readonly kind: number;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  /** The spans that it is linked to. */
  readonly links: readonly string[];
  readonly isError: boolean;
  readonly startNanos: bigint;
  readonly endNanos: bigint;
}

/** A collector on loopback that keeps what processes send it by OTLP. */
export interface OtlpCollector extends AsyncDisposable {
  readonly url: string;
  /** The spans that came so far. */
  readonly spans: readonly CollectedSpan[];
  /** What came to a path, as it was sent. */
  bodiesOf(path: "/v1/traces" | "/v1/metrics"): readonly Buffer[];
  /** The variables that make a process send its traces here, soon after each span has ended. */
  readonly tracesEnv: Readonly<Record<string, string>>;
}

/** Starts one. */
export async function openOtlpCollector(): Promise<OtlpCollector> {
  const bodies: { readonly path: string; readonly body: Buffer }[] = [];
  const spans: CollectedSpan[] = [];
  const server = createServer(async (request, response) => {
    const body = await buffer(request);
    bodies.push({ path: request.url ?? "", body });
    if (request.url === "/v1/traces") spans.push(...readSpans(body));
    const status = request.url === "/v1/traces" || request.url === "/v1/metrics" ? 200 : 404;
    response.writeHead(status, { "content-type": "application/x-protobuf" }).end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    spans,
    bodiesOf: (path) => bodies.filter((each) => each.path === path).map(({ body }) => body),
    tracesEnv: { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${url}/v1/traces`, OTEL_BSP_SCHEDULE_DELAY: "20" },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

// The fields of opentelemetry/proto/trace/v1/trace.proto, by their numbers.

function readSpans(body: Uint8Array): CollectedSpan[] {
  return all(body, 1).flatMap((resource) => all(resource, 2).flatMap((scope) => all(scope, 2).map(readSpan)));
}

function readSpan(bytes: Uint8Array): CollectedSpan {
  const [name] = all(bytes, 5);
  const parent = hex(all(bytes, 4)[0]);
  const [status] = all(bytes, 15);
  return {
    traceId: hex(all(bytes, 1)[0]),
    spanId: hex(all(bytes, 2)[0]),
    parentSpanId: parent === "" ? undefined : parent,
    name: textOf(name),
    kind: Number(numbersOf(bytes, 6)[0] ?? 0),
    attributes: Object.fromEntries(all(bytes, 9).map(readAttribute)),
    links: all(bytes, 13).map((link) => hex(all(link, 2)[0])),
    isError: status !== undefined && numbersOf(status, 3)[0] === 2n,
    startNanos: numbersOf(bytes, 7)[0] ?? 0n,
    endNanos: numbersOf(bytes, 8)[0] ?? 0n,
  };
}

function readAttribute(bytes: Uint8Array): [string, string | number | boolean] {
  const key = textOf(all(bytes, 1)[0]);
  const [value = new Uint8Array()] = all(bytes, 2);
  const [text] = all(value, 1);
  if (text) return [key, textOf(text)];
  const [flag] = numbersOf(value, 2);
  return [key, flag === undefined ? Number(numbersOf(value, 3)[0] ?? 0) : flag === 1n];
}

/** The values of a field of bytes. */
function all(bytes: Uint8Array, field: number): Uint8Array[] {
  return fieldsOf(bytes).flatMap((each) =>
    each.field === field && each.value instanceof Uint8Array ? each.value : [],
  );
}

function numbersOf(bytes: Uint8Array, field: number): bigint[] {
  return fieldsOf(bytes).flatMap((each) => (each.field === field && typeof each.value === "bigint" ? each.value : []));
}

function fieldsOf(bytes: Uint8Array): { readonly field: number; readonly value: Uint8Array | bigint | undefined }[] {
  const reader = new BinaryReader(bytes);
  const fields: { field: number; value: Uint8Array | bigint | undefined }[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (wireType === WireType.LengthDelimited) fields.push({ field, value: reader.bytes() });
    else if (wireType === WireType.Varint) fields.push({ field, value: BigInt(reader.uint64()) });
    else if (wireType === WireType.Bit64) fields.push({ field, value: BigInt(reader.fixed64()) });
    else reader.skip(wireType, field);
  }
  return fields;
}

function hex(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString("hex");
}

function textOf(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString("utf8");
}
