import { spawn } from "node:child_process";
import { type DescMessage, fromJson, type JsonValue, type MessageShape } from "@bufbuild/protobuf";

/** What came back. */
export interface CurlAnswer {
  readonly exitCode: number;
  /** The HTTP status. */
  readonly status: number;
  readonly body: Buffer;
}

/**
 * A unary method by hand: JSON in, JSON out. In a shell:
 *
 *     curl http://127.0.0.1:7443/tandem.carrier.v1.CdrService/GetCdrFeed \
 *       -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '{}'
 */
export function curlUnary(baseUrl: string, token: string, method: string, request: JsonValue): Promise<CurlAnswer> {
  const args = ["-H", "Content-Type: application/json", "-d", JSON.stringify(request)];
  return runCurl([...args, "-H", `Authorization: Bearer ${token}`, `${baseUrl}/${method}`]);
}

/**
 * What a shell can do to call a server stream, for requests of less than 256 bytes: the body is one
 * envelope, a byte of flags and four of length before the JSON. So is each message of the answer.
 * `$BODY`, `$TOKEN` and `$URL` are the environment's.
 */
export const STREAM_SCRIPT = [
  `printf "\\0\\0\\0\\0\\x$(printf %x \${#BODY})%s" "$BODY" |`,
  `curl --silent --no-buffer "$URL" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/connect+json" --data-binary @-`,
].join("\n  ");

/** One JSON message as the body of a streaming request. */
export function envelope(request: JsonValue): Buffer {
  const json = Buffer.from(JSON.stringify(request));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(json.length, 1);
  return Buffer.concat([head, json]);
}

/** Calls a server stream with curl until it ends, or until `maxTimeS` has passed. */
export function curlStream(
  baseUrl: string,
  token: string,
  method: string,
  request: JsonValue,
  maxTimeS = 20,
): Promise<CurlAnswer> {
  const headers = ["-H", "Content-Type: application/connect+json", "-H", `Authorization: Bearer ${token}`];
  const args = [
    "--no-buffer",
    "--max-time",
    String(maxTimeS),
    "--data-binary",
    "@-",
    ...headers,
    `${baseUrl}/${method}`,
  ];
  return runCurl(args, envelope(request));
}

/** The messages of a stream's answer, and what its last envelope says: an error, or nothing. */
export function readEnvelopes<T extends DescMessage>(schema: T, body: Buffer) {
  const messages: MessageShape<T>[] = [];
  let end: { error?: { code: string; details?: { type: string; value: string; debug?: unknown }[] } } | undefined;
  for (let at = 0; at + 5 <= body.length; ) {
    const next = at + 5 + body.readUInt32BE(at + 1);
    if (next > body.length) break;
    const json = JSON.parse(body.toString("utf8", at + 5, next)) as JsonValue;
    if ((body.readUInt8(at) & 2) !== 0) end = json as typeof end;
    else messages.push(fromJson(schema, json));
    at = next;
  }
  return { messages, end };
}

/** Runs a command of a shell. */
export function runShell(
  script: string,
  env: Record<string, string>,
  isEnough?: (stdout: Buffer) => boolean,
): Promise<{ exitCode: number; stdout: Buffer }> {
  return run("bash", ["-c", script], undefined, { ...process.env, ...env }, isEnough);
}

async function runCurl(args: readonly string[], input?: Buffer): Promise<CurlAnswer> {
  const marked = ["--silent", "--http1.1", "--write-out", "%{stderr}%{http_code}", ...args];
  const { exitCode, stdout, stderr } = await run("curl", marked, input, process.env);
  return { exitCode, status: Number(stderr), body: stdout };
}

function run(
  command: string,
  args: readonly string[],
  input: Buffer | undefined,
  env: NodeJS.ProcessEnv,
  isEnough: (stdout: Buffer) => boolean = () => false,
) {
  return new Promise<{ exitCode: number; stdout: Buffer; stderr: string }>((resolve, reject) => {
    // A group of its own: what it started is interrupted with it.
    const child = spawn(command, args, { env, detached: true });
    const stdout: Buffer[] = [];
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => {
      stdout.push(chunk);
      if (child.exitCode === null && child.pid !== undefined && isEnough(Buffer.concat(stdout)))
        process.kill(-child.pid, "SIGINT");
    });
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk;
    });
    child.once("error", reject);
    child.once("close", (code) => resolve({ exitCode: code ?? -1, stdout: Buffer.concat(stdout), stderr }));
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}
