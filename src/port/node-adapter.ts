import {
  Code,
  ConnectError,
  type ConnectRouter,
  type ConnectRouterOptions,
  type ContextValues,
  createConnectRouter,
} from "@connectrpc/connect";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import { forbidBuffering, forbidCaching } from "./answer-headers.ts";
import type { PortRequest, PortResponse } from "./port.ts";

/** Its answer has to say by which HTTP methods the method is called (RFC 9110, 15.5.6). */
const METHOD_NOT_ALLOWED = 405;

export interface NodeAdapterOptions extends ConnectRouterOptions {
  readonly routes: (router: ConnectRouter) => void;
  readonly contextValues: (request: PortRequest) => ContextValues;
  /** Marks answers to pages of other origins. True: it has answered. */
  readonly cors: (request: PortRequest, response: PortResponse) => boolean;
  /** Answers what no route takes. */
  readonly fallback: (request: PortRequest, response: PortResponse) => void;
  /** Called with errors after every handler, when an answer could not be written to its end. */
  readonly onUnwritten: (error: unknown) => void;
}

/**
 * Serves Connect's routes on Node. Connect's own adapter would print errors past the log and its
 * masks.
 */
export function createNodeAdapter(options: NodeAdapterOptions): (request: PortRequest, response: PortResponse) => void {
  const router = createConnectRouter(options);
  options.routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  return (request, response) => {
    if (options.cors(request, response)) return;
    forbidCaching(request, response);
    const handler = handlers.get(request.url?.split("?", 1)[0] ?? "");
    if (!handler) return options.fallback(request, response);
    forbidBuffering(handler.method, response);
    const asked = universalRequestFromNodeRequest(request, response, undefined, options.contextValues(request));
    handler(asked)
      .then((answer) => {
        if (answer.status === METHOD_NOT_ALLOWED) response.setHeader("allow", handler.allowedMethods.join(", "));
        return universalResponseToNodeResponse(answer, response);
      })
      .catch((error: unknown) => {
        if (ConnectError.from(error).code !== Code.Aborted) options.onUnwritten(error);
      });
  };
}
