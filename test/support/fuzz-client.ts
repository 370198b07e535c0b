import { Agent, type IncomingMessage, request as requestHttp1 } from "node:http";
import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from "node:http2";
import type { Caller, FuzzInput } from "./fuzz-inputs.ts";
import { EVENTUALLY_MS } from "./limits.ts";

/** What a client saw of one exchange. */
export interface FuzzAnswer {
  /** 0: none came. */
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
  readonly trailers: Readonly<Record<string, unknown>>;
  /** How the stream ended, as HTTP/2 counts it; 0 is in order. */
  readonly resetCode: number;
  /** Whether this client left before the end. */
  readonly hasLeft: boolean;
}

const SESSION_COUNT = 4;
/** How often a call is begun again whose connection the server closed before it took the call. */
const MAX_ATTEMPTS = 5;

/**
 * Sends inputs as they are, many at once over a few connections: nothing between it and the wire
 * corrects them.
 */
export class FuzzClient implements AsyncDisposable {
  readonly #url: URL;
  readonly #authorization: Readonly<Record<Caller, string | undefined>>;
  readonly #sessions: ClientHttp2Session[] = [];
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 8 });
  #count = 0;
  #isClosed = false;

  constructor(url: string, tokens: Readonly<Record<"owner" | "other", string>>) {
    this.#url = new URL(url);
    const { owner, other } = tokens;
    this.#authorization = {
      owner: `Bearer ${owner}`,
      other: `Bearer ${other}`,
      nobody: undefined,
      forger: `Bearer ${owner.slice(0, -8)}AAAAAAAA`,
    };
  }

  async send(input: FuzzInput): Promise<FuzzAnswer> {
    if (this.#isClosed) throw new Error("the client is closed");
    if (input.httpVersion === 1) return this.#send1(input);
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#send2(input);
      const isUnprocessed = answer.status === 0 && answer.resetCode !== 0 && !answer.hasLeft;
      if (!isUnprocessed || attempt === MAX_ATTEMPTS) return answer;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#agent.destroy();
    for (const session of this.#sessions) session.destroy();
  }

  #headersOf({ caller, headers }: FuzzInput): Record<string, string> {
    const authorization = this.#authorization[caller];
    return authorization === undefined ? { ...headers } : { ...headers, authorization };
  }

  #send2(input: FuzzInput): Promise<FuzzAnswer> {
    return new Promise((resolve, reject) => {
      const stream = this.#session().request(
        { ":method": input.verb, ":path": input.path, ...this.#headersOf(input) },
        { endStream: false },
      );
      let head: IncomingHttpHeaders = {};
      let trailers: IncomingHttpHeaders = {};
      let hasLeft = false;
      const chunks: Buffer[] = [];
      const leave = () => {
        hasLeft = true;
        stream.close(constants.NGHTTP2_CANCEL);
      };
      const patience = setTimeout(() => {
        reject(new Error("the call did not end"));
        stream.close(constants.NGHTTP2_CANCEL);
      }, EVENTUALLY_MS);
      stream.on("response", (headers) => {
        head = headers;
      });
      stream.on("trailers", (headers) => {
        trailers = headers;
      });
      stream.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        if (input.leaves) leave();
      });
      // Its code is in rstCode.
      stream.on("error", () => {});
      stream.on("close", () => {
        clearTimeout(patience);
        const status = Number(head[":status"] ?? 0);
        const resetCode = stream.rstCode ?? constants.NGHTTP2_INTERNAL_ERROR;
        resolve({ status, headers: head, body: Buffer.concat(chunks), trailers, resetCode, hasLeft });
      });
      if (input.ends) stream.end(input.body);
      else stream.write(input.body, () => input.breaksOff && leave());
    });
  }

  #send1(input: FuzzInput): Promise<FuzzAnswer> {
    const { hostname, port } = this.#url;
    return new Promise((resolve, reject) => {
      const options = {
        host: hostname,
        port,
        method: input.verb,
        path: input.path,
        headers: { ...this.#headersOf(input), "content-length": input.body.length },
        agent: this.#agent,
        timeout: EVENTUALLY_MS,
      };
      const request = requestHttp1(options, (response) => void readAll(response).then(resolve, reject));
      request.on("error", (error: NodeJS.ErrnoException) => {
        // The server may close a connection that was kept while it is used again: as Node's
        // documentation has it, the request is made again.
        const wasClosed = request.reusedSocket && error.code === "ECONNRESET";
        if (wasClosed) this.#send1(input).then(resolve, reject);
        else reject(error);
      });
      request.end(input.body);
    });
  }

  #session(): ClientHttp2Session {
    const at = this.#count++ % SESSION_COUNT;
    const open = this.#sessions[at];
    if (open && !open.closed && !open.destroyed) return open;
    const session = connect(this.#url);
    // The calls on it hear of it.
    session.on("error", () => {});
    this.#sessions[at] = session;
    return session;
  }
}

async function readAll(response: IncomingMessage): Promise<FuzzAnswer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const { statusCode: status = 0, headers, trailers } = response;
  return { status, headers, body: Buffer.concat(chunks), trailers, resetCode: 0, hasLeft: false };
}
