import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request as httpRequest } from "node:http";
import { connect as connectHttp2, constants } from "node:http2";
import { connect as connectSocket, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type ConnectionLimits,
  DEFAULT_CONNECTION_LIMITS,
  openPort,
  type Port,
  type PortResponse,
  type PortTls,
} from "../../src/port/port.ts";
import { createAuthority } from "../support/certificates.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const FrameType = { DATA: 0, HEADERS: 1, RST_STREAM: 3, SETTINGS: 4, PING: 6, GOAWAY: 7, CONTINUATION: 9 } as const;
/** What is a limit of ten seconds elsewhere is one of these here. */
const SHORT: Partial<ConnectionLimits> = { firstBytesMs: 150, http1RequestMs: 300, http1IdleMs: 150, idleMs: 200 };
/** For tests in which something else ends the connection, however slow the machine is. */
const PATIENT: Partial<ConnectionLimits> = {
  firstBytesMs: 60_000,
  http1RequestMs: 60_000,
  http1IdleMs: 60_000,
  idleMs: 60_000,
};

let app: Exchange;
beforeAll(async () => {
  app = await startExchange({ requestMs: 200, answerMs: 300 });
});
afterAll(() => app?.[Symbol.asyncDispose]());

test("slow headers and slow bodies are cut off over HTTP/1.1, with TLS and without", async () => {
  const authority = await createAuthority("servers");
  const { cert, key } = await authority.issue([{ type: "ip", value: "127.0.0.1" }]);
  for (const tls of [undefined, { cert: Buffer.from(cert), key: Buffer.from(key), clientCa: undefined }]) {
    await using port = await openShortPort({}, tls, () => {});
    for (const start of [
      "POST /x HTTP/1.1\r\nhost: a\r\nx-slow: ",
      "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{",
      "POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nff\r\nab",
    ]) {
      const socket = tls
        ? connectTls({ port: port.port, host: "127.0.0.1", ca: authority.cert })
        : connectSocket(port.port, "127.0.0.1");
      socket.write(start);
      const dribble = setInterval(() => socket.write("a"), 20);
      expect(await answerOf(socket), start).toMatch(/^(HTTP\/1\.1 408|$)/);
      clearInterval(dribble);
    }
  }
});

test("a connection that says nothing is closed: before a first byte, within a TLS handshake, between requests, and without a call in HTTP/2", async () => {
  const authority = await createAuthority("servers");
  const { cert, key } = await authority.issue([{ type: "ip", value: "127.0.0.1" }]);
  await using cleartext = await openShortPort();
  await using secure = await openShortPort({}, { cert: Buffer.from(cert), key: Buffer.from(key), clientCa: undefined });
  const silent = connectSocket(cleartext.port, "127.0.0.1");
  const handshaking = connectSocket(secure.port, "127.0.0.1");
  handshaking.write(Buffer.from([0x16, 0x03, 0x01]));
  const kept = connectSocket(cleartext.port, "127.0.0.1");
  kept.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  // Its first bytes come when the machine has time for them.
  await using patient = await openShortPort({ firstBytesMs: 60_000 });
  const idle = connectHttp2(`http://127.0.0.1:${patient.port}`);
  idle.on("error", () => {});
  const goaway = once(idle, "goaway");
  const endless = openHttp2(cleartext);
  // HEADERS without END_HEADERS: a call that never begins.
  endless.write(frame(FrameType.HEADERS, 0, 1, Buffer.from([0x82])));
  await Promise.all([answerOf(silent), answerOf(handshaking), answerOf(kept), answerOf(endless)]);
  expect((await goaway)[0]).toBe(constants.NGHTTP2_NO_ERROR);
});

test("an HTTP/2 request whose body does not come, or dribbles, ends with DEADLINE_EXCEEDED; an answer that is not taken is reset", async () => {
  const session = connectHttp2(app.url);
  const request = session.request({
    ":method": "POST",
    ":path": "/grpc.health.v1.Health/Check",
    "content-type": "application/grpc",
  });
  const dribble = setInterval(() => request.write(Buffer.from([0])), 40);
  request.on("error", () => {});
  const trailers = new Promise<string>((resolve) => {
    request.on("response", (headers) => headers["grpc-status"] && resolve(String(headers["grpc-status"])));
    request.on("trailers", (headers) => resolve(String(headers["grpc-status"])));
  });
  request.resume();
  expect(await trailers).toBe("4");
  clearInterval(dribble);
  session.destroy();

  const stingy = connectHttp2(app.url, { settings: { initialWindowSize: 0 } });
  const untaken = stingy.request({
    ":method": "POST",
    ":path": "/grpc.health.v1.Health/Check",
    "content-type": "application/json",
  });
  untaken.on("error", () => {});
  untaken.end("{}");
  await once(untaken, "close");
  expect(untaken.rstCode).not.toBeUndefined();
  stingy.destroy();
  await expect.poll(() => app.callCount).toBe(0);
});

test("headers over 16 KiB, or over 128 of them, are refused in both protocols", async () => {
  await using port = await openShortPort(PATIENT);
  const long = connectSocket(port.port, "127.0.0.1");
  long.write(`GET / HTTP/1.1\r\nhost: a\r\nx: ${"y".repeat(20_000)}\r\n\r\n`);
  expect(await answerOf(long)).toMatch(/^HTTP\/1\.1 431/);
  for (const headers of [
    { x: "y".repeat(20_000) },
    Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`x${n}`, "y"])),
  ]) {
    const session = connectHttp2(`http://127.0.0.1:${port.port}`, { maxSendHeaderBlockLength: 100_000 });
    session.on("error", () => {});
    const request = session.request({ ":path": "/", ...headers });
    const ended = new Promise<string>((resolve) => {
      request.on("response", ({ ":status": status }) => resolve(String(status)));
      request.on("error", () => resolve("reset"));
      request.on("close", () => resolve("reset"));
    });
    expect(["431", "reset"]).toContain(await ended);
    session.destroy();
  }
});

test("a message is refused at its limit: by its length before it comes, and while it is inflated, whatever it would grow to", async () => {
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024), { level: 1 });
  const before = process.memoryUsage().arrayBuffers;
  const authorization = `Bearer ${await app.platformToken()}`;
  const headers = { "content-type": "application/proto", "content-encoding": "gzip", authorization };
  const answer = await post(bomb, headers, "/tandem.platform.v1.CarrierService/ListCarriers");
  expect(answer).toMatchObject({ status: 429, code: "resource_exhausted" });
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 * 1024 * 1024);
  // A gRPC message that says it has 2 GiB; nothing of it has to come.
  const session = connectHttp2(app.url);
  const request = session.request({
    ":method": "POST",
    ":path": "/grpc.health.v1.Health/Check",
    "content-type": "application/grpc",
  });
  request.on("error", () => {});
  const status = new Promise((resolve) => {
    request.on("response", (headers) => headers["grpc-status"] && resolve(headers["grpc-status"]));
    request.on("trailers", (headers) => resolve(headers["grpc-status"]));
  });
  request.resume();
  request.write(Buffer.from([0, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3]));
  expect(await status).toBe("8");
  session.destroy();
});

test("connections are limited for each address and in all, and their places are free again", async () => {
  await using port = await openShortPort({ ...PATIENT, maxConnectionsPerAddress: 3, maxConnections: 5 });
  const open = async (localAddress: string) => {
    const socket = connectSocket({ port: port.port, host: "127.0.0.1", localAddress });
    socket.write(Buffer.concat([PREFACE, frame(FrameType.SETTINGS, 0, 0)]));
    const isServed = await Promise.race([once(socket, "data").then(() => true), answerOf(socket).then(() => false)]);
    return { socket, isServed };
  };
  const mine = [await open("127.0.0.1"), await open("127.0.0.1"), await open("127.0.0.1")];
  expect(mine.map(({ isServed }) => isServed)).toEqual([true, true, true]);
  expect((await open("127.0.0.1")).isServed).toBe(false);
  const others = [await open("127.0.0.2"), await open("127.0.0.2")];
  expect(others.map(({ isServed }) => isServed)).toEqual([true, true]);
  expect((await open("127.0.0.3")).isServed).toBe(false);
  mine[0]?.socket.destroy();
  await expect.poll(async () => (await open("127.0.0.1")).isServed).toBe(true);
  for (const { socket } of [...mine, ...others]) socket.destroy();
});

test("a 251st stream of a connection is refused, and the others live", async () => {
  await using port = await openShortPort(PATIENT, undefined, () => {});
  const socket = openHttp2(port);
  const heard = collectFrames(socket);
  for (let stream = 0; stream < 251; stream += 1) socket.write(headersFrame(2 * stream + 1, false));
  await expect.poll(() => heard.find(({ type }) => type === FrameType.RST_STREAM)).toMatchObject({ stream: 501 });
  expect(heard.some(({ type }) => type === FrameType.GOAWAY)).toBe(false);
  socket.destroy();
});

test.each([
  [
    "rapid reset",
    (n: number) => Buffer.concat([headersFrame(2 * n + 1, false), frame(FrameType.RST_STREAM, 0, 2 * n + 1, u32(8))]),
  ],
  ["SETTINGS", () => frame(FrameType.SETTINGS, 0, 0)],
  ["PING", () => frame(FrameType.PING, 0, 0, Buffer.alloc(8))],
  [
    "CONTINUATION",
    (n: number) =>
      n === 0
        ? frame(FrameType.HEADERS, 0, 1, Buffer.from([0x82]))
        : frame(FrameType.CONTINUATION, 0, 1, Buffer.from([0x84])),
  ],
  ["empty DATA", (n: number) => (n === 0 ? headersFrame(1, false) : frame(FrameType.DATA, 0, 1))],
])("a flood of %s ends its connection, and no other", async (_, next) => {
  await using port = await openShortPort(PATIENT, undefined, () => {});
  const other = connectHttp2(`http://127.0.0.1:${port.port}`);
  await once(other, "remoteSettings");
  const socket = openHttp2(port);
  let isClosed = false;
  const closed = answerOf(socket).then(() => {
    isClosed = true;
  });
  let sent = 0;
  for (; !isClosed && sent < 60_000; sent += 100) {
    const batch = Buffer.concat(Array.from({ length: 100 }, (_, index) => next(sent + index)));
    await new Promise((resolve) => socket.write(batch, resolve));
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(sent).toBeLessThan(60_000);
  await closed;
  await new Promise((resolve) => other.ping(resolve));
  expect(other.destroyed).toBe(false);
  other.destroy();
});

async function openShortPort(
  limits: Partial<ConnectionLimits> = {},
  tls?: PortTls,
  handle = (_: unknown, response: PortResponse) => void (response as { end: () => void }).end(),
) {
  const connections = { ...DEFAULT_CONNECTION_LIMITS, ...SHORT, ...limits };
  const port = await openPort({ host: "127.0.0.1", port: 0, tls, connections, handle });
  return Object.assign(port, { [Symbol.asyncDispose]: () => port.destroy() });
}

function openHttp2({ port }: Port): Socket {
  const socket = connectSocket({ port, host: "127.0.0.1", noDelay: true });
  socket.on("error", () => {});
  socket.write(Buffer.concat([PREFACE, frame(FrameType.SETTINGS, 0, 0)]));
  return socket;
}

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** `GET / HTTP`, in HPACK: three of its static table, and an authority of one letter. */
function headersFrame(stream: number, isEnd: boolean): Buffer {
  return frame(FrameType.HEADERS, isEnd ? 5 : 4, stream, Buffer.from([0x82, 0x84, 0x86, 0x01, 0x01, 0x61]));
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

interface HeardFrame {
  readonly type: number;
  readonly stream: number;
}

function collectFrames(socket: Socket): HeardFrame[] {
  const heard: HeardFrame[] = [];
  let rest: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      heard.push({ type: rest.readUInt8(3), stream: rest.readUInt32BE(5) });
      rest = rest.subarray(9 + rest.readUIntBE(0, 3));
    }
  });
  return heard;
}

/** What comes until the connection is closed, by whichever side and however. */
function answerOf(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => {});
  return new Promise((resolve) => socket.once("close", () => resolve(Buffer.concat(chunks).toString("latin1"))));
}

async function post(body: Buffer, headers: Record<string, string>, path = "/grpc.health.v1.Health/Check") {
  const request = httpRequest(app.url + path, { method: "POST", headers, agent: false });
  request.end(body);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const text = Buffer.concat(await Array.fromAsync(response)).toString();
  return { status: response.statusCode, code: (JSON.parse(text) as { code: string }).code };
}
