import { cors } from "@connectrpc/connect";
import { addVary } from "./answer-headers.ts";
import type { PortRequest, PortResponse } from "./port.ts";

/** How long a browser may remember an answer to its preflight, seconds: Chromium's most. */
const MAX_AGE_S = 7_200;
const ALLOWED_METHODS = cors.allowedMethods.join(", ");
const ALLOWED_HEADERS = [...cors.allowedHeaders, "Authorization"].join(", ");
const EXPOSED_HEADERS = cors.exposedHeaders.join(", ");

/**
 * Lets pages of other origins read the answers, as the Fetch standard asks (CORS). Cookies are not
 * among it: a call shows its credential itself.
 * @param origins as browsers send them, such as `https://console.example.com`. None: nothing is
 *   done.
 * @returns what marks an answer before it is made. True: it was a preflight, and is answered.
 */
export function createCors(origins: ReadonlySet<string>): (request: PortRequest, response: PortResponse) => boolean {
  if (origins.size === 0) return () => false;
  return (request, response) => {
    const { origin } = request.headers;
    addVary(response, "Origin");
    const isAllowed = origin !== undefined && origins.has(origin);
    if (isAllowed) response.setHeader("access-control-allow-origin", origin);
    if (isPreflight(request)) {
      if (isAllowed) allowCall(response);
      response.statusCode = isAllowed ? 204 : 403;
      response.end();
      return true;
    }
    if (isAllowed) response.setHeader("access-control-expose-headers", EXPOSED_HEADERS);
    return false;
  };
}

function isPreflight({ method, headers }: PortRequest): boolean {
  return method === "OPTIONS" && headers.origin !== undefined && headers["access-control-request-method"] !== undefined;
}

function allowCall(response: PortResponse): void {
  response.setHeader("access-control-allow-methods", ALLOWED_METHODS);
  response.setHeader("access-control-allow-headers", ALLOWED_HEADERS);
  response.setHeader("access-control-max-age", String(MAX_AGE_S));
}
