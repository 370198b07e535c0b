import { Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Exchange, startExchange } from "../support/exchange.ts";

let app: Exchange;
beforeAll(async () => {
  app = await startExchange();
});
afterAll(() => app[Symbol.asyncDispose]());

function begin(agent: Agent, path: string, type: string, headers: Record<string, string> = {}): ClientRequest {
  return httpRequest(new URL(path, app.url), {
    method: "POST",
    agent,
    headers: { "content-type": type, "connect-protocol-version": "1", ...headers },
  });
}

function answerTo(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => request.once("response", resolve).once("error", reject));
}

/** Somebody else's call, over whichever connection is free, as a proxy makes it. */
async function checkHealth(agent: Agent): Promise<{ status: number | undefined; port: number | undefined }> {
  const request = begin(agent, "/grpc.health.v1.Health/Check", "application/json");
  request.end("{}");
  const answer = await answerTo(request);
  const port = request.socket?.localPort;
  await text(answer);
  return { status: answer.statusCode, port };
}

const REFUSED: [string, { path: string; type: string; first: Buffer }][] = [
  [
    "a stream without a credential",
    {
      path: "/tandem.carrier.v1.CdrService/StreamCdrs",
      type: "application/connect+json",
      first: Buffer.alloc(1_000, " "),
    },
  ],
  [
    "an upload over HTTP/1.1",
    {
      path: "/tandem.carrier.v1.DurationService/UploadDurations",
      type: "application/connect+json",
      first: Buffer.from("\0\0\0\0\x02{}"),
    },
  ],
  [
    "an unknown method",
    { path: "/tandem.carrier.v1.CdrService/Nothing", type: "application/json", first: Buffer.alloc(1_000, " ") },
  ],
  [
    "a unary call without a credential",
    { path: "/tandem.carrier.v1.CdrService/GetCdrFeed", type: "application/json", first: Buffer.alloc(1_000, " ") },
  ],
  [
    "a stream whose first message is too large",
    {
      path: "/grpc.health.v1.Health/Watch",
      type: "application/connect+json",
      // A message of 1 MiB, of which this is the beginning.
      first: Buffer.concat([Buffer.from([0, 0, 16, 0, 0]), Buffer.alloc(1_000, " ")]),
    },
  ],
];

describe.each(REFUSED)("%s that is answered before its request has ended", (_, { path, type, first }) => {
  test("leaves its connection fit for the next call, once the rest of the request has come", async () => {
    using agent = new DisposableAgent();
    const request = begin(agent, path, type, { "content-length": String(first.length + 100_000) });
    request.write(first);
    const answer = await answerTo(request);
    const { localPort } = request.socket ?? {};
    const read = text(answer);
    request.end(Buffer.alloc(100_000, " "));
    await read;
    const next = await checkHealth(agent);
    expect(next.status).toBe(200);
    // Or the answer said that there will be no next call.
    if (answer.headers.connection !== "close") expect(next.port).toBe(localPort);
  });
});

test.each(REFUSED.slice(-1))(
  "%s loses its connection when the rest of it does not end",
  async (_, { path, type, first }) => {
    using agent = new DisposableAgent();
    const request = begin(agent, path, type);
    request.on("error", () => {});
    request.write(first);
    const answer = await answerTo(request);
    const closed = new Promise((resolve) => request.socket?.once("close", resolve));
    answer.on("error", () => {}).resume();
    const more = setInterval(() => request.write(Buffer.alloc(100_000, " ")), 5);
    try {
      await closed;
    } finally {
      clearInterval(more);
    }
  },
);

/** One connection, that is used again. */
class DisposableAgent extends Agent implements Disposable {
  constructor() {
    super({ keepAlive: true, maxSockets: 1 });
  }

  [Symbol.dispose](): void {
    this.destroy();
  }
}
