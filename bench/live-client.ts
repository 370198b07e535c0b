// Follows the feeds of call detail records of many carriers, each on a connection of its own, and
// says when each batch was decoded.
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { createTandemTransport } from "../src/client/transport.ts";
import { CdrService } from "../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { helperArgument, sayReady, sayResult } from "./helper-process.ts";

export interface LiveClientArgument {
  url: string;
  /** One for each carrier. */
  tokens: string[];
  /** By Connect over HTTP/1.1, as proxies speak it, and not by gRPC. */
  isHttp1: boolean;
  /** Who has issued the server's certificate. */
  ca?: string;
}

export interface LiveClientResult {
  /**
   * Of each carrier: up to which sequence, and when, nanoseconds of the machine's monotonic clock.
   */
  batches: [through: number, nanoseconds: string][][];
}

const { url, tokens, isHttp1, ca } = helperArgument<LiveClientArgument>();
const batches: LiveClientResult["batches"] = tokens.map(() => []);
await Promise.all(tokens.map((token, carrier) => untilCaughtUp(token, carrier)));
await sayReady();
const result: LiveClientResult = { batches };
sayResult(result);

async function untilCaughtUp(token: string, carrier: number): Promise<void> {
  const transport = isHttp1 ? openHttp1(token) : createTandemTransport({ baseUrl: url, token });
  const client = createClient(CdrService, transport);
  const caughtUp = Promise.withResolvers<void>();
  void follow(client, carrier, caughtUp.resolve).catch(caughtUp.reject);
  await caughtUp.promise;
}

function openHttp1(token: string) {
  return createConnectTransport({
    baseUrl: url,
    httpVersion: "1.1",
    nodeOptions: ca === undefined ? {} : { ca },
    interceptors: [
      (next) => (request) => {
        request.header.set("Authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
}

async function follow(
  client: ReturnType<typeof createClient<typeof CdrService>>,
  carrier: number,
  onCaughtUp: () => void,
): Promise<void> {
  for await (const { frame, throughSequence } of client.streamCdrs({
    start: { position: { case: "latest", value: {} } },
  })) {
    if (frame.case === "caughtUp") onCaughtUp();
    if (frame.case === "batch") batches[carrier]?.push([Number(throughSequence), String(process.hrtime.bigint())]);
  }
}
