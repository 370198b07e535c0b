import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type ClientHttp2Stream, connect as connectHttp2 } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { UploadDurationsRequestSchema } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { openLog } from "../../src/log.ts";
import { createAuthority, type TestAuthority } from "../support/certificates.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { untilNoStreams } from "../support/feed.ts";
import { framed } from "../support/raw-call.ts";
import { durationOf, OWN_NUMBER, someRecords } from "../support/upload-kinds.ts";

interface Logged {
  readonly level: string;
  readonly msg?: string;
  readonly err?: unknown;
}

const COUNT = 12;
const APPEND = "/tandem.carrier.v1.DurationService/AppendDurations";
const UPLOAD = "/tandem.carrier.v1.DurationService/UploadDurations";

const logged: Logged[] = [];
const printed = vi.spyOn(console, "error").mockImplementation(() => {});
let folder: string;
let authority: TestAuthority;
let exchange: Exchange;
let token: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-leave-"));
  authority = await createAuthority("servers");
  const { cert, key } = await authority.issue([{ type: "ip", value: "127.0.0.1" }]);
  const [tlsCert, tlsKey] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  await Promise.all([writeFile(tlsCert, cert), writeFile(tlsKey, key, { mode: 0o600 })]);
  exchange = await startExchange(
    { tlsCert, tlsKey, maxUploadStreams: COUNT },
    openLog("debug", (line) => logged.push(JSON.parse(line) as Logged)),
  );
  await exchange.addCarrier("leaver");
  await exchange.assignNumbers("leaver", [OWN_NUMBER]);
  token = await exchange.carrierToken("leaver");
});
afterAll(async () => {
  printed.mockRestore();
  await exchange?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});
afterEach(() => {
  logged.length = 0;
  printed.mockClear();
});

// As a client that is killed, one that ends in order but in the middle of a message, and one whose
// machine is gone behind TLS.
const WAYS: Readonly<Record<string, (tcp: Socket, secure: Socket) => void>> = {
  "a TCP reset": (tcp) => tcp.resetAndDestroy(),
  "the end of its TCP connection": (tcp) => tcp.destroy(),
  "the end of its TLS session": (_, secure) => secure.end(),
};

test.each(Object.entries(WAYS))(
  "an upload over TLS that is left by %s is logged as its end, and nothing else",
  async (_, leave) => {
    const batch = uploadFrame({
      case: "batch",
      value: { firstOffset: 0n, records: someRecords(0, 300).map(durationOf) },
    });
    for (let index = 0; index < COUNT; index++) {
      const { tcp, secure, stream } = await openUpload(`left-${index}`);
      stream.write(batch.subarray(0, batch.length >> (index % 3)));
      leave(tcp, secure);
    }
    await expectQuiet();
  },
);

test.each(Object.entries(WAYS))(
  "a call over TLS and HTTP/1.1 that is left in its request by %s is logged as its end",
  async (_, leave) => {
    for (let index = 0; index < COUNT; index++) {
      const tcp = connectTcp(exchange.port, "127.0.0.1");
      const secure = connectTls({ socket: tcp, host: "127.0.0.1", ca: authority.cert, ALPNProtocols: ["http/1.1"] });
      for (const socket of [tcp, secure]) socket.on("error", () => {});
      await once(secure, "secureConnect");
      const head = [
        `POST ${APPEND} HTTP/1.1`,
        "host: 127.0.0.1",
        `authorization: Bearer ${token}`,
        "content-type: application/json",
        "content-length: 1000",
      ];
      secure.write(`${head.join("\r\n")}\r\n\r\n{"uploadId":`);
      await expect.poll(() => exchange.callCount).toBeGreaterThan(0);
      leave(tcp, secure);
      await expect.poll(() => exchange.callCount).toBe(0);
    }
    await expectQuiet();
  },
);

function uploadFrame(frame: MessageInitShape<typeof UploadDurationsRequestSchema>["frame"]): Buffer {
  return framed(toBinary(UploadDurationsRequestSchema, create(UploadDurationsRequestSchema, frame ? { frame } : {})));
}

async function openUpload(uploadId: string): Promise<{ tcp: Socket; secure: Socket; stream: ClientHttp2Stream }> {
  const tcp = connectTcp(exchange.port, "127.0.0.1");
  const secure = connectTls({ socket: tcp, host: "127.0.0.1", ca: authority.cert, ALPNProtocols: ["h2"] });
  for (const socket of [tcp, secure]) socket.on("error", () => {});
  await once(secure, "secureConnect");
  const session = connectHttp2(exchange.url, { createConnection: () => secure });
  session.on("error", () => {});
  const stream = session.request({
    ":method": "POST",
    ":path": UPLOAD,
    authorization: `Bearer ${token}`,
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.on("error", () => {});
  stream.write(uploadFrame({ case: "open", value: { uploadId } }));
  await once(stream, "data");
  return { tcp, secure, stream };
}

/** Nothing that happened was held for a fault of ours, and whoever looks can still see it. */
async function expectQuiet(): Promise<void> {
  await untilNoStreams(exchange);
  await expect.poll(() => exchange.callCount).toBe(0);
  await expect.poll(() => logged.filter(({ msg }) => msg === "call ended").length).toBeGreaterThanOrEqual(COUNT);
  expect(logged.filter(({ level, err }) => level === "error" || level === "warn" || err !== undefined)).toEqual([]);
  expect(printed.mock.calls).toEqual([]);
}
