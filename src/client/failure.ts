import { ConnectError } from "@connectrpc/connect";
import { tandemReason } from "./errors.ts";

/**
 * Failures that come again at every attempt, because the address, the protocol or a certificate is
 * wrong.
 */
const WRONG: readonly [RegExp, string][] = [
  [/^ENOTFOUND$/, "there is no host of this name: check the address"],
  [/^(ERR_SSL_WRONG_VERSION_NUMBER|EPROTO)$/, "the server there does not speak TLS: check the port, or use http"],
  [
    /^(ERR_HTTP2_ERROR|ERR_HTTP2_SESSION_ERROR)$/,
    "the server there does not speak HTTP/2: check the port, or use https",
  ],
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, "the server's certificate is for another name: check the address"],
  [
    /^(CERT_|ERR_SSL_|ERR_TLS_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_|INVALID_CA)/,
    "TLS failed: check the certificates of both sides, and the authority that you trust",
  ],
];

/** Failures that may pass by themselves. */
const PASSING: readonly [RegExp, string][] = [
  [/^ECONNREFUSED$/, "nobody listens at this address: the server is down, or the port is another"],
  [/^(EAI_AGAIN|EAI_FAIL)$/, "the name could not be looked up"],
  [/^(EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL)$/, "there is no way to this address"],
  [/^(ETIMEDOUT|ERR_SOCKET_CONNECTION_TIMEOUT)$/, "nobody answered at this address"],
  [
    /^(ECONNRESET|EPIPE)$/,
    "the connection was closed from the other side: if it never works, check http against https",
  ],
];

/**
 * Why a call failed, in words for whoever runs the client: Tandem's own, or what kept it from
 * reaching Tandem.
 */
export function explainFailure(error: unknown): string {
  const text = textOf(error);
  const reason = tandemReason(error)?.reason;
  if (reason !== undefined) return `${reason}: ${text}`;
  const hint = hintOf([...WRONG, ...PASSING], error);
  return hint === undefined ? text : `${hint} (${text})`;
}

function textOf(error: unknown): string {
  if (error instanceof ConnectError) return error.rawMessage;
  return error instanceof Error ? error.message : String(error);
}

/**
 * Whether the same call would fail at every attempt, as long as nobody changes the address or a
 * certificate.
 */
export function isMisaddressed(error: unknown): boolean {
  return tandemReason(error) === undefined && hintOf(WRONG, error) !== undefined;
}

function hintOf(hints: readonly [RegExp, string][], error: unknown): string | undefined {
  for (const code of codesOf(error)) {
    const hint = hints.find(([pattern]) => pattern.test(code));
    if (hint) return hint[1];
  }
  return undefined;
}

/** How deep the chain of causes is followed. */
const MAX_DEPTH = 5;

/** The codes of Node's errors beneath an error, the outermost first. */
function codesOf(error: unknown): string[] {
  const codes: string[] = [];
  for (let at = error, depth = 0; at instanceof Error && depth < MAX_DEPTH; at = at.cause, depth++) {
    const { code } = at as { code?: unknown };
    if (typeof code === "string") codes.push(code);
  }
  return codes;
}
