import { createConnection } from "node:net";
import { Code, ConnectError, createClient, type HandlerContext } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { startScriptedServer } from "../../test/support/scripted-server.ts";
import { ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.js";
import { CdrService } from "../gen/tandem/carrier/v1/cdr_service_pb.js";
import { tandemReason } from "./errors.ts";
import { createTandemTransport, type TandemTransportOptions } from "./transport.ts";

describe("createTandemTransport", () => {
  it.for(["grpc", "connect", "grpc-web"] as const)(
    "speaks %s, with a token that is asked for again at each call",
    async (protocol) => {
      let issued = 0;
      const tokens: (string | null)[] = [];
      await withServer(
        { protocol, tokenProvider: async () => `token-${++issued}` },
        async (client) => {
          await client.getCdrFeed({});
          await client.getCdrFeed({});
        },
        ({ requestHeader }) => tokens.push(requestHeader.get("authorization")),
      );
      expect(tokens).toEqual(["Bearer token-1", "Bearer token-2"]);
    },
  );

  it("lets a stream run past 64 KiB before any of it is read", async () => {
    let sentBytes = 0;
    const chunk = "x".repeat(512);
    await using server = await startScriptedServer((router) => {
      router.service(CdrService, {
        async *streamCdrs(_request, context) {
          for (let sent = 0; sent < 4_000 && !context.signal.aborted; sent += 1) {
            sentBytes += chunk.length;
            yield { cursor: chunk };
          }
        },
      });
    });
    using transport = createTandemTransport({ baseUrl: server.baseUrl });
    const messages = createClient(CdrService, transport).streamCdrs({})[Symbol.asyncIterator]();
    await messages.next();
    // The server ends by itself although only the first message was taken: 2 MB lie in the windows.
    while (sentBytes < 4_000 * chunk.length) await new Promise((resolve) => setImmediate(resolve));
    expect(sentBytes).toBe(4_000 * chunk.length);
  });

  it("lets all streams of its connection together run past 64 KiB a round trip", async () => {
    await withServer({}, async (client, server) => {
      await client.getCdrFeed({});
      await client.getCdrFeed({});
      expect(server.lastSession()?.state.remoteWindowSize).toBeGreaterThan(8 * 1024 * 1024);
    });
  });

  it("connects anew after its connection was destroyed", async () => {
    await withServer({}, async (client, server) => {
      await client.getCdrFeed({});
      server.cut();
      await expect
        .poll(() =>
          client.getCdrFeed({}).then(
            () => "served",
            () => "cut",
          ),
        )
        .toBe("served");
      expect(server.connectionCount()).toBe(2);
    });
  });

  it("closes its connection when disposed", async () => {
    let closed: Promise<unknown> = Promise.resolve();
    await using server = await startScriptedServer((router) => router.service(CdrService, { getCdrFeed: () => ({}) }));
    const socketOf = (authority: URL) => {
      const socket = createConnection(Number(authority.port), authority.hostname);
      closed = new Promise((resolve) => socket.once("close", resolve));
      return socket;
    };
    const transport = createTandemTransport({ baseUrl: server.baseUrl, createConnection: socketOf });
    await createClient(CdrService, transport).getCdrFeed({});
    transport[Symbol.dispose]();
    await closed;
  });

  it("does not send a token in the clear to another machine, unless told to", () => {
    const baseUrl = "http://tandem.example:8080";
    expect(() => createTandemTransport({ baseUrl, token: "secret" })).toThrow(/no TLS/);
    expect(() => createTandemTransport({ baseUrl: "http://127.evil.example", token: "secret" })).toThrow(/no TLS/);
    expect(() => createTandemTransport({ baseUrl, token: "secret", allowPlaintextToken: true })).not.toThrow();
    expect(() => createTandemTransport({ baseUrl: "http://[::1]:1", token: "secret" })).not.toThrow();
    expect(() => createTandemTransport({ baseUrl })).not.toThrow();
  });
});

describe("tandemReason", () => {
  it("reads the reason, its metadata and the wait that an error carries over the wire", async () => {
    const fail = () => {
      const info = { domain: "tandem", reason: "RATE_LIMITED", metadata: { limit: "5" } };
      const retry = { retryDelay: { seconds: 1n, nanos: 500_000_000 } };
      throw new ConnectError("slowly", Code.ResourceExhausted, undefined, [
        { desc: ErrorInfoSchema, value: info },
        { desc: RetryInfoSchema, value: retry },
      ]);
    };
    await withServer(
      {},
      async (client) => {
        const error: unknown = await client.getCdrFeed({}).catch((caught: unknown) => caught);
        expect(tandemReason(error)).toEqual({ reason: "RATE_LIMITED", metadata: { limit: "5" }, retryAfterMs: 1500 });
      },
      fail,
    );
  });

  it("knows nothing of other errors", () => {
    expect(tandemReason(new Error("disk full"))).toBeUndefined();
    expect(tandemReason(new ConnectError("gone", Code.Unavailable))).toBeUndefined();
    const foreign = { desc: ErrorInfoSchema, value: { domain: "proxy.example", reason: "RATE_LIMITED" } };
    expect(tandemReason(new ConnectError("no", Code.Unavailable, undefined, [foreign]))).toBeUndefined();
  });
});

async function withServer(
  options: Omit<TandemTransportOptions, "baseUrl">,
  run: (
    client: ReturnType<typeof createClient<typeof CdrService>>,
    server: Awaited<ReturnType<typeof startScriptedServer>>,
  ) => Promise<void>,
  onCall: (context: HandlerContext) => unknown = () => {},
): Promise<void> {
  await using server = await startScriptedServer((router) => {
    router.service(CdrService, {
      getCdrFeed: (_request, context) => {
        onCall(context);
        return {};
      },
    });
  });
  using transport = createTandemTransport({ baseUrl: server.baseUrl, ...options });
  await run(createClient(CdrService, transport), server);
}
