// Opens feed streams and leaves them open: one connection for each carrier.
import { createClient } from "@connectrpc/connect";
import { createTandemTransport } from "../src/client/transport.ts";
import { CdrService } from "../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { helperArgument, sayReady, sayResult } from "./helper-process.ts";

export interface IdleClientArgument {
  url: string;
  /** One for each connection. */
  tokens: string[];
  streamsEach: number;
}

const { url, tokens, streamsEach } = helperArgument<IdleClientArgument>();
for (const token of tokens) {
  const client = createClient(CdrService, createTandemTransport({ baseUrl: url, token }));
  await Promise.all(Array.from({ length: streamsEach }, () => untilCaughtUp(client)));
}
await sayReady();
sayResult({});

async function untilCaughtUp(client: ReturnType<typeof createClient<typeof CdrService>>): Promise<void> {
  const frames = client.streamCdrs({ start: { position: { case: "latest", value: {} } } })[Symbol.asyncIterator]();
  for (let next = await frames.next(); next.value?.frame.case !== "caughtUp"; next = await frames.next()) {
    if (next.done) throw new Error("the stream ended");
  }
  // Goes on to read, so that heartbeats do not pile up.
  void (async () => {
    while (!(await frames.next()).done);
  })();
}
