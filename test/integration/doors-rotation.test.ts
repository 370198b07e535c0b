import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, open, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { promisify } from "node:util";
import { createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { decodeJwt } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
import { CdrService as PlatformCdrService } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { rotateSigningKey } from "../../src/trust/signing-key.ts";
import { addCarrier } from "../support/carriers.ts";
import { type CertificateFiles, createAuthority, type TestAuthority } from "../support/certificates.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { pace } from "../support/pace.ts";
import { reasonOf } from "../support/refusal.ts";

const SPIFFE = { type: "url", value: "spiffe://carrier.example/tandem" } as const;
const SERVER_NAMES = [{ type: "ip", value: "127.0.0.1" }] as const;

let app: Exchange;
let folder: string;
let serverCa: TestAuthority;
let oldCa: TestAuthority;
let newCa: TestAuthority;
const paths = { cert: "", key: "", clients: "", revoked: "", dataDir: "" };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-rotation-"));
  for (const name of Object.keys(paths) as (keyof typeof paths)[]) paths[name] = join(folder, name);
  [serverCa, oldCa, newCa] = (await Promise.all(["servers", "old", "new"].map(createAuthority))) as [
    TestAuthority,
    TestAuthority,
    TestAuthority,
  ];
  await replacePair(await serverCa.issue([...SERVER_NAMES]));
  await replace(paths.clients, oldCa.cert);
  await writeFile(paths.revoked, "");
  app = await startExchange({
    tlsCert: paths.cert,
    tlsKey: paths.key,
    tlsClientCa: paths.clients,
    revokedFile: paths.revoked,
    dataDir: paths.dataDir,
    reloadIntervalMs: 20,
    accessCacheMs: 20,
    heartbeatIntervalMs: 2_000,
  });
  const identity = { kind: "spiffe", uri: SPIFFE.value } as const;
  await addCarrier(app.services.db, "acme", { credentials: [{ identity }] });
});
afterAll(async () => {
  await app?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test("certificates and keys are rotated under load, and no stream is lost whose credential is still valid", async () => {
  const certificate = await oldCa.issue([SPIFFE]);
  const transports = [transport(certificate), transport(undefined, await app.carrierToken("acme"))];
  const platform = transport(undefined, await app.platformToken());
  const streams = [
    ...transports.map(follow),
    ...transports.map((each, index) => upload(each, `load-${index}`)),
    ingest(platform),
  ];
  await Promise.all(streams.map(({ opened }) => opened));
  await using load = startLoad([...transports, platform]);

  const before = await shownFingerprint();
  await replacePair(await serverCa.issue([...SERVER_NAMES]));
  await expect.poll(shownFingerprint).not.toBe(before);
  // The old authority in a new certificate of the same key, and a new authority besides.
  await replace(paths.clients, `${await oldCa.renew()}${newCa.cert}`);
  const renewed = transport(await newCa.issue([SPIFFE]));
  await expect.poll(async () => reasonOf(list(transport(await newCa.issue([SPIFFE]))))).toBe("OK");
  const kid = await rotateSigningKey(paths.dataDir, 3_600);
  await expect.poll(() => app.signingKey?.keySet.keys[0]?.kid).toBe(kid);
  expect(await reasonOf(list(transport(undefined, await app.carrierToken("acme"))))).toBe("OK");
  expect(await reasonOf(list(renewed))).toBe("OK");

  const callsBefore = load.count;
  await expect.poll(() => load.count).toBeGreaterThan(callsBefore + 20);
  expect(load.failures).toEqual([]);
  expect(streams.map(({ end }) => end)).toEqual(streams.map(() => undefined));
  for (const stream of streams) stream.stop();
  expect(app.logged).toEqual([]);
});

test("a pair that does not belong together, or half of a file, is refused with a log line, and the old one stays", async () => {
  const before = await shownFingerprint();
  const [one, other] = await Promise.all([serverCa.issue([...SERVER_NAMES]), serverCa.issue([...SERVER_NAMES])]);
  await replacePair({ cert: one.cert, key: other.key });
  await expect.poll(() => app.logged.at(-1)).toMatch(/"level":"warn".*certificates: the new ones are refused/);
  expect(await shownFingerprint()).toBe(before);
  const refusals = app.logged.length;
  await replace(paths.clients, newCa.cert.slice(0, 200));
  await replacePair(one);
  await expect.poll(() => app.logged.length).toBeGreaterThan(refusals);
  expect(app.logged.at(-1)).toContain("an incomplete one");
  expect(await shownFingerprint()).toBe(before);
  await replace(paths.clients, `${oldCa.cert}${newCa.cert}`);
  await app.reload();
  expect(await shownFingerprint()).not.toBe(before);
});

test("an authority that is taken away takes its certificates' live streams, calls and new connections with it, and no others", async () => {
  const leaving = transport(await oldCa.issue([SPIFFE]));
  const staying = transport(await newCa.issue([SPIFFE]));
  const [lost, kept] = [follow(leaving), follow(staying)];
  await Promise.all([lost.opened, kept.opened]);
  await replace(paths.clients, newCa.cert);
  await lost.ended;
  expect(lost.end).toEqual({ closing: true, reason: "CREDENTIAL_EXPIRED" });
  expect(await reasonOf(list(leaving))).toBe("UNAUTHENTICATED");
  expect(await reasonOf(list(transport(await oldCa.issue([SPIFFE]))))).toBe("UNAUTHENTICATED");
  expect(await reasonOf(list(staying))).toBe("OK");
  expect(kept.end).toBeUndefined();
  kept.stop();
});

test("of two looks at the files side by side, what the later one found stands", async () => {
  const file = join(folder, "revoked-by-two");
  await writeFile(file, "");
  await using own = await startExchange({ revokedFile: file, reloadIntervalMs: 60_000 });
  await addCarrier(own.services.db, "acme");
  const token = await own.carrierToken("acme");
  const call = () => createClient(DurationService, own.connect(token)).listUploads({});
  expect(await reasonOf(call())).toBe("OK");
  // A pipe: the first look reads it until it is closed, and finds nothing in it.
  await promisify(execFile)("mkfifo", [`${file}.new`]);
  await rename(`${file}.new`, file);
  const first = own.reload();
  const pipe = await open(file, "w");
  await replace(file, `${JSON.stringify({ token: decodeJwt(token).jti })}\n`);
  const second = own.reload();
  // Looks that did not wait for each other would end in the wrong order now.
  await Promise.race([second, pace(300)]);
  await pipe.close();
  await Promise.all([first, second]);
  expect(await reasonOf(call())).toBe("UNAUTHENTICATED");
});

test("a revoked certificate, token or subject ends its streams within seconds, the platform's too; others go on", async () => {
  const certificate = await newCa.issue([SPIFFE]);
  const [token, other] = await Promise.all([app.carrierToken("acme"), app.carrierToken("acme", { identity: "other" })]);
  const platformToken = await app.platformToken();
  const lost = [
    follow(transport(certificate)),
    follow(transport(undefined, token)),
    upload(transport(undefined, token), "revoked"),
    ingest(transport(undefined, platformToken)),
  ];
  const kept = follow(transport(undefined, other));
  await Promise.all([...lost, kept].map(({ opened }) => opened));
  const entries = [
    { certificate: new X509Certificate(certificate.cert).fingerprint256 },
    { token: decodeJwt(token).jti },
    { subject: "platform", issued_until: new Date().toISOString() },
  ];
  await replace(paths.revoked, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
  await Promise.all(lost.map(({ ended }) => ended));
  for (const { end } of lost) expect(end).toEqual({ closing: true, reason: "CREDENTIAL_EXPIRED" });
  expect(await reasonOf(list(transport(undefined, token)))).toBe("UNAUTHENTICATED");
  expect(await reasonOf(createClient(CarrierService, transport(undefined, platformToken)).listCarriers({}))).toBe(
    "UNAUTHENTICATED",
  );
  expect(kept.end).toBeUndefined();
  kept.stop();
  const refused = app.logged.length;
  await replace(paths.revoked, "nonsense");
  await expect.poll(() => app.logged.length).toBe(refused + 1);
  expect(await reasonOf(list(transport(undefined, token)))).toBe("UNAUTHENTICATED");
  // A list that cannot be read any more is not an empty one.
  await rm(paths.revoked);
  await mkdir(paths.revoked);
  await expect.poll(() => app.logged.length).toBe(refused + 2);
  expect(await reasonOf(list(transport(undefined, token)))).toBe("UNAUTHENTICATED");
});

test("a key rotated without overlap ends the streams of its tokens; with overlap they end when that is over", async () => {
  const old = follow(transport(undefined, await app.carrierToken("acme")));
  await old.opened;
  await rotateSigningKey(paths.dataDir, 0);
  await old.ended;
  expect(old.end).toEqual({ closing: true, reason: "CREDENTIAL_EXPIRED" });
  const next = follow(transport(undefined, await app.carrierToken("acme")));
  await next.opened;
  const rotatedMs = Date.now();
  await rotateSigningKey(paths.dataDir, 1);
  await next.ended;
  expect(Date.now() - rotatedMs).toBeGreaterThan(900);
  expect(next.end).toEqual({ closing: true, reason: "CREDENTIAL_EXPIRED" });
});

test("a withdrawn key ends its tokens' streams though their address has shown more false tokens than it may", async () => {
  const dataDir = join(folder, "crowded");
  await using crowded = await startExchange({ maxAuthFailuresPerSecond: 1, reloadIntervalMs: 20, dataDir });
  await addCarrier(crowded.services.db, "acme");
  const stream = follow(crowded.connect(await crowded.carrierToken("acme")));
  await stream.opened;
  const stranger = crowded.connect("nonsense");
  await expect.poll(() => reasonOf(list(stranger)), { interval: 0 }).toBe("RATE_LIMITED");
  await rotateSigningKey(dataDir, 0);
  await stream.ended;
  expect(stream.end).toEqual({ closing: true, reason: "CREDENTIAL_EXPIRED" });
});

interface Followed {
  readonly opened: Promise<void>;
  readonly ended: Promise<void>;
  readonly end: { closing: boolean; reason: string } | undefined;
  stop(): void;
}

function follow(over: Transport): Followed {
  const start = { position: { case: "latest", value: {} } } as const;
  return track((signal) => createClient(CdrService, over).streamCdrs({ start }, { signal }));
}

function upload(over: Transport, uploadId: string): Followed {
  return track((signal) => createClient(DurationService, over).uploadDurations(frames(uploadId, signal), { signal }));
}

function ingest(over: Transport): Followed {
  const open = (signal: AbortSignal) => ({
    async *[Symbol.asyncIterator]() {
      const value = { carrierId: "acme", open: { uploadId: `ingest-${Date.now()}` } };
      yield { frame: { case: "open", value } } as const;
      yield* keepAlive(signal);
    },
  });
  return track((signal) => createClient(PlatformCdrService, over).ingestCdrs(open(signal), { signal }));
}

async function* frames(uploadId: string, signal: AbortSignal) {
  yield { frame: { case: "open", value: { uploadId } } } as const;
  yield* keepAlive(signal);
}

async function* keepAlive(signal: AbortSignal) {
  while (!signal.aborted) {
    await pace(100, signal);
    yield { frame: { case: "keepAlive", value: {} } } as const;
  }
}

function track(call: (signal: AbortSignal) => AsyncIterable<{ frame: { case: string | undefined } }>): Followed {
  const stop = new AbortController();
  const opened = Promise.withResolvers<void>();
  let end: Followed["end"];
  const read = async () => {
    try {
      for await (const { frame } of call(stop.signal)) {
        opened.resolve();
        if (frame.case === "closing") closing = true;
      }
    } catch (error) {
      if (!stop.signal.aborted) throw error;
    }
  };
  let closing = false;
  const run = async () => {
    const reason = await reasonOf(read());
    if (!stop.signal.aborted) end = { closing, reason };
    opened.reject(new Error(`the stream ended with ${reason}`));
  };
  const ended = run();
  return {
    opened: opened.promise,
    ended,
    get end() {
      return end;
    },
    stop: () => stop.abort(),
  };
}

function startLoad(transports: readonly Transport[]) {
  const failures: string[] = [];
  let count = 0;
  let isOver = false;
  const running = transports.map(async (each, index) => {
    while (!isOver) {
      const isPlatform = index === transports.length - 1;
      const reason = await reasonOf(isPlatform ? createClient(CarrierService, each).listCarriers({}) : list(each));
      count += 1;
      if (reason !== "OK") failures.push(reason);
    }
  });
  return {
    failures,
    get count() {
      return count;
    },
    async [Symbol.asyncDispose]() {
      isOver = true;
      await Promise.all(running);
    },
  };
}

function list(over: Transport) {
  return createClient(DurationService, over).listUploads({});
}

function transport(files?: CertificateFiles, token?: string): Transport {
  return createGrpcTransport({
    baseUrl: app.url,
    nodeOptions: { ca: serverCa.cert, ...files },
    idleConnectionTimeoutMs: 1_000,
    interceptors: [
      (next) => (request) => {
        if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
}

async function shownFingerprint(): Promise<string> {
  const socket = connectTls({ port: app.port, host: "127.0.0.1", ca: serverCa.cert, ALPNProtocols: ["h2"] });
  await once(socket, "secureConnect");
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

async function replacePair({ cert, key }: CertificateFiles): Promise<void> {
  await Promise.all([replace(paths.cert, cert), replace(paths.key, key)]);
}

async function replace(file: string, content: string): Promise<void> {
  // Others could read it, and the log would say so.
  await writeFile(`${file}.new`, content, { mode: 0o600 });
  await rename(`${file}.new`, file);
}
