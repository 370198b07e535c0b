import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createSecureServer } from "node:http2";
import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { createAuthority } from "../../test/support/certificates.ts";
import { DurationService } from "../gen/tandem/carrier/v1/duration_service_pb.js";
import { explainFailure, isMisaddressed } from "./failure.ts";
import { createTandemTransport } from "./transport.ts";
import type { UploadEvent } from "./upload.ts";
import { uploadDurations } from "./upload-durations.ts";
import { arraySource } from "./upload-source.ts";

/** Uploads nothing to an address, and says what became of it. */
async function uploadTo(baseUrl: string, servername?: string) {
  const events: UploadEvent[] = [];
  using transport = createTandemTransport({ baseUrl, ...(servername ? { tls: { servername } } : {}) });
  const uploading = uploadDurations(createClient(DurationService, transport), {
    uploadId: "u",
    source: arraySource([]),
    retry: { initialDelayMs: 1, maxDelayMs: 2, maxAttempts: 3 },
    onEvent: (event) => events.push(event),
  });
  const error = await uploading.catch((thrown: unknown) => thrown);
  return { error, cuts: events.filter((event) => event.kind === "CUT") };
}

async function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

describe("a client that reaches no Tandem", () => {
  it("ends at once and says why where the server speaks no HTTP/2, or no TLS", async () => {
    const server = createHttpServer((_, response) => response.end("hello"));
    const port = await listening(server);
    try {
      const cleartext = await uploadTo(`http://127.0.0.1:${port}`);
      expect(cleartext.error).toMatchObject({ fault: "UNREACHABLE", message: expect.stringContaining("HTTP/2") });
      expect(cleartext.cuts).toHaveLength(1);
      const tls = await uploadTo(`https://127.0.0.1:${port}`);
      expect(tls.error).toMatchObject({ fault: "UNREACHABLE", message: expect.stringContaining("speak TLS") });
      expect(tls.cuts).toHaveLength(1);
    } finally {
      server.close();
    }
  });

  it("ends at once and says why where the certificate is not trusted", async () => {
    const authority = await createAuthority("nobody's");
    const server = createSecureServer(await authority.issue([{ type: "ip", value: "127.0.0.1" }]));
    const port = await listening(server);
    try {
      const { error, cuts } = await uploadTo(`https://127.0.0.1:${port}`);
      expect(error).toMatchObject({ fault: "UNREACHABLE", message: expect.stringContaining("TLS failed") });
      expect(cuts).toHaveLength(1);
    } finally {
      server.close();
    }
  });

  it("tries again where nobody listens yet, says so from the first attempt on, and gives up with the reason", async () => {
    const server = createTcpServer();
    const port = await listening(server);
    await new Promise((resolve) => server.close(resolve));
    const { error, cuts } = await uploadTo(`http://127.0.0.1:${port}`);
    expect(error).toMatchObject({ fault: "EXHAUSTED", message: expect.stringContaining("nobody listens") });
    expect(cuts).toHaveLength(3);
    expect(cuts[0]).toMatchObject({ why: expect.stringContaining("nobody listens") });
  });

  it("takes a name that is nobody's for wrong, and a failed look-up for something that passes", () => {
    const caused = (code: string) => ConnectError.from(Object.assign(new Error("look-up"), { code }), Code.Unavailable);
    expect(isMisaddressed(caused("ENOTFOUND"))).toBe(true);
    expect(isMisaddressed(caused("EAI_AGAIN"))).toBe(false);
    expect(explainFailure(caused("EAI_AGAIN"))).toContain("could not be looked up");
  });
});
