import { Code, ConnectError } from "@connectrpc/connect";
import { TandemClientError, tandemReason } from "../../client/errors.ts";
import { explainFailure } from "../../client/failure.ts";
import type { ResumingEvent } from "../../client/retry.ts";
import { maskSecrets } from "../../domain/privacy/secrets.ts";
import { visibleLines, visibleText } from "../../domain/privacy/visible-text.ts";
import { mendingCommand } from "./mending.ts";
import { triedCall } from "./tried.ts";

/** How a command ended, in one message that holds no secret. */
export function describeFailure(error: unknown): string {
  return maskSecrets(describeError(error));
}

/** An error in one message, fit for a terminal, with the server's reason and metadata. */
function describeError(error: unknown): string {
  if (error instanceof TandemClientError && error.cause !== undefined) {
    const isOurs = error.fault === "EXHAUSTED" || error.fault === "UNREACHABLE";
    return isOurs ? visibleText(error.message) : describeError(error.cause);
  }
  return error instanceof ConnectError ? visibleText(describeCallError(error)) : visibleLines(describeOwnError(error));
}

function describeOwnError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ((error as NodeJS.ErrnoException).code === "EADDRINUSE")
    return `${error.message}: another process listens there; try --port 0`;
  const hasMore = error.cause instanceof Error && !error.message.includes(error.cause.message);
  const cause = hasMore ? ` (${(error.cause as Error).message})` : "";
  return `${error.message || error.name}${cause}`;
}

function describeCallError(error: ConnectError): string {
  const tandem = tandemReason(error);
  if (tandem !== undefined) {
    const metadata = Object.entries(tandem.metadata)
      .filter(([, value]) => value !== "" && !error.rawMessage.includes(value))
      .map(([name, value]) => `${name}=${value}`);
    const told = `${tandem.reason}: ${error.rawMessage}${metadata.length > 0 ? ` (${metadata.join(", ")})` : ""}`;
    const mending = mendingCommand(tandem.reason, tandem.metadata);
    return `${told}${describeTried(error)}${mending === undefined ? "" : `; see: ${mending}`}`;
  }
  const { code, address, port } = (error.cause ?? {}) as { code?: string; address?: string; port?: number };
  if (code === "ECONNREFUSED") {
    return `nothing listens on ${address}:${port}: start a server with \`tandem serve\`, or say where it is with --url`;
  }
  return `the call failed: ${Code[error.code]}: ${explainFailure(error)}${describeTried(error)}`;
}

function describeTried(error: ConnectError): string {
  const tried = triedCall(error);
  return tried === undefined ? "" : ` (${tried})`;
}

/** Says what cut a stream off and when it goes on, from the first attempt. */
export function describeResume(cut: unknown, { delayMs, fruitless, most }: ResumingEvent): string {
  const why = cut === undefined ? "" : `cut off: ${describeError(cut)}; `;
  const count = fruitless > 1 ? ` (attempt ${fruitless + 1} of ${most})` : "";
  return `${why}trying again in ${Math.round(delayMs)} ms${count}`;
}
