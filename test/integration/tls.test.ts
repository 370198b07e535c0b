import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { Agent, get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../src/gen/grpc/health/v1/health_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
import { addCarrier } from "../support/carriers.ts";
import { type CertificateFiles, createAuthority, type TestAuthority } from "../support/certificates.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { reasonOf } from "../support/refusal.ts";

const CARRIER_ID = "spiffe://carrier.example/tandem";
const PLATFORM_ID = "spiffe://platform.example/ops";

let app: Exchange;
let serverCa: TestAuthority;
let clientCa: TestAuthority;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-tls-"));
  [serverCa, clientCa] = await Promise.all([createAuthority("servers"), createAuthority("clients")]);
  const server = await serverCa.issue([
    { type: "dns", value: "localhost" },
    { type: "ip", value: "127.0.0.1" },
  ]);
  await writeFile(join(folder, "server.pem"), server.cert);
  await writeFile(join(folder, "server.key"), server.key);
  await writeFile(join(folder, "clients.pem"), clientCa.cert);
  app = await startExchange({
    tlsCert: join(folder, "server.pem"),
    tlsKey: join(folder, "server.key"),
    tlsClientCa: join(folder, "clients.pem"),
    platformIdentities: `${PLATFORM_ID}=carriers.read`,
    accessCacheMs: 0,
  });
  const identity = { kind: "spiffe", uri: CARRIER_ID } as const;
  await addCarrier(app.services.db, "acme", {
    credentials: [{ identity }, { identity: { kind: "dns", name: "acme.example" } }],
  });
  await addCarrier(app.services.db, "other");
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

test("one TLS port speaks HTTP/2 and HTTP/1.1, as the client chooses by ALPN", async () => {
  expect(app.url).toMatch(/^https:/);
  expect((await createClient(Health, transport()).check({})).status).toBe(Status.SERVING);
  const http1 = createConnectTransport({ baseUrl: app.url, httpVersion: "1.1", nodeOptions: { ca: serverCa.cert } });
  expect((await createClient(Health, http1).check({})).status).toBe(Status.SERVING);
  for (const [offered, chosen] of [
    [["h2", "http/1.1"], "h2"],
    [["http/1.1"], "http/1.1"],
  ] as const) {
    const socket = connectTls({ port: app.port, host: "127.0.0.1", ca: serverCa.cert, ALPNProtocols: [...offered] });
    await new Promise((resolve) => socket.once("secureConnect", resolve));
    expect(socket.alpnProtocol).toBe(chosen);
    socket.destroy();
  }
});

test("a client without ALPN gets HTTP/1.1", async () => {
  const status = await new Promise((resolve, reject) => {
    get(app.url, { ca: serverCa.cert, agent: new Agent({ ALPNProtocols: [] }) }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on("error", reject);
  });
  expect(status).toBe(404);
});

test("a client certificate is its carrier's credential, by SPIFFE id or DNS name", async () => {
  for (const name of [
    { type: "url", value: CARRIER_ID },
    { type: "dns", value: "acme.example" },
    { type: "dns", value: "ACME.example" },
  ] as const) {
    const durations = createClient(DurationService, transport(await clientCa.issue([name])));
    expect(await reasonOf(durations.listUploads({})), name.value).toBe("OK");
  }
});

test("a client certificate of the platform reaches what its scopes allow", async () => {
  const carriers = createClient(CarrierService, transport(await clientCa.issue([{ type: "url", value: PLATFORM_ID }])));
  expect(["OK", "UNIMPLEMENTED"]).toContain(await reasonOf(carriers.listCarriers({})));
  expect(await reasonOf(carriers.createCarrier({}))).toBe("PERMISSION_DENIED");
});

test("a certificate that is not registered, not trusted or missing is no credential", async () => {
  const name = { type: "url", value: CARRIER_ID } as const;
  const impostor = await createAuthority("clients");
  for (const [what, files] of [
    ["unregistered", await clientCa.issue([{ type: "url", value: "spiffe://stranger.example/x" }])],
    ["of another authority", await impostor.issue([name])],
    ["expired", await clientCa.issue([name], { notAfter: new Date(Date.now() - 1_000) })],
    ["missing", undefined],
  ] as const) {
    expect(await reasonOf(createClient(DurationService, transport(files)).listUploads({})), what).toBe(
      "UNAUTHENTICATED",
    );
  }
});

test("a certificate that expires while its connection lives is no longer accepted", async () => {
  const files = await clientCa.issue([{ type: "url", value: CARRIER_ID }], { notAfter: new Date(Date.now() + 2_500) });
  const durations = createClient(DurationService, transport(files));
  expect(await reasonOf(durations.listUploads({}))).toBe("OK");
  await expect.poll(() => reasonOf(durations.listUploads({}))).toBe("CREDENTIAL_EXPIRED");
});

test("token and certificate may come together if they are of one carrier, and the token alone if the certificate is nobody's", async () => {
  const mine = await clientCa.issue([{ type: "url", value: CARRIER_ID }]);
  const nobodys = await clientCa.issue([{ type: "url", value: "spiffe://mesh.example/sidecar" }]);
  const acme = await app.carrierToken("acme");
  const other = await app.carrierToken("other");
  for (const [files, token, reason] of [
    [mine, acme, "OK"],
    [mine, other, "UNAUTHENTICATED"],
    [nobodys, other, "OK"],
    [undefined, acme, "OK"],
  ] as const) {
    expect(await reasonOf(createClient(DurationService, transport(files, token)).listUploads({}))).toBe(reason);
  }
});

test("a certificate with names of two principals is refused", async () => {
  const files = await clientCa.issue([
    { type: "url", value: CARRIER_ID },
    { type: "url", value: PLATFORM_ID },
  ]);
  expect(await reasonOf(createClient(DurationService, transport(files)).listUploads({}))).toBe("UNAUTHENTICATED");
});

function transport(files?: CertificateFiles, token?: string) {
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
