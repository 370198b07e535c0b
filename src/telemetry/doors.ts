import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

interface DoorsOptions {
  readonly host: string;
  readonly port: number;
  /** Says why the process does not serve; undefined: it serves. */
  readonly notReady: () => string | undefined;
  readonly answerMetrics: (request: IncomingMessage, response: ServerResponse) => void;
}

const MOST_CONNECTIONS = 100;
/** How long a request, and an idle connection, may take, milliseconds. */
const REQUEST_MS = 10_000;

/**
 * The port for Prometheus and for supervisors: /metrics; /livez, 200 as long as the process works;
 * /readyz, 200 while it serves, else 503 with the reason.
 */
export async function openDoors({ host, port, notReady, answerMetrics }: DoorsOptions): Promise<AsyncDisposable> {
  const server = createServer({ requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS }, (request, response) => {
    const path = (request.url ?? "").split("?", 1)[0];
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      return answer(response, 405, "expected GET or HEAD");
    }
    if (path === "/livez") return answer(response, 200, "ok");
    if (path === "/readyz") {
      const why = notReady();
      return answer(response, why === undefined ? 200 : 503, why ?? "ok");
    }
    if (path !== "/metrics") return answer(response, 404, "expected /metrics, /livez or /readyz");
    answerMetrics(request, response);
    // The exporter says text/plain alone, which newer Prometheus takes only when told to.
    response.setHeader("content-type", "text/plain; version=0.0.4; charset=utf-8");
  });
  server.maxConnections = MOST_CONNECTIONS;
  server.keepAliveTimeout = REQUEST_MS;
  server.unref();
  server.listen(port, host);
  await once(server, "listening");
  return {
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" });
  response.end(`${text}\n`);
}
