import type { Message } from "@bufbuild/protobuf";
import { ConnectError, type HandlerContext, type Interceptor } from "@connectrpc/connect";
import type { Principal } from "../../../domain/carriers/principal.ts";
import type { ErrorReason } from "../../../domain/errors.ts";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.js";
import { findPrincipal } from "../access/caller.ts";
import { isText } from "../lists.ts";
import { throughSteps } from "../message-steps.ts";
import { isAdministrativeAct, targetOf } from "./administrative-acts.ts";
import { methodOf } from "./audit.ts";
import type { RefusalLog } from "./refusal-log.ts";

/**
 * Records administrative acts that were refused or that failed in the audit log. It stands outside
 * the interceptor that gives errors their final form.
 */
export function auditInterceptor(refusals: RefusalLog): Interceptor {
  return (next) => async (request) => {
    const { service, method, contextValues: values } = request;
    const message = request.stream ? undefined : (request.message as Message);
    const record = (error: unknown) => recordRefusal(refusals, { service, method, values }, error, message);
    try {
      const response = await next(request);
      if (!response.stream || !isAdministrativeAct(method)) return response;
      return { ...response, message: watchErrors(response.message, record) };
    } catch (error) {
      await record(error);
      throw error;
    }
  };
}

/**
 * Records an act that was not done in the audit log. Calls whose credential was not accepted are
 * left out: there is nobody to name, and no limit to how many there can be.
 */
export async function recordRefusal(
  refusals: RefusalLog,
  context: Pick<HandlerContext, "service" | "method" | "values">,
  error: unknown,
  message?: Message,
): Promise<void> {
  if (!isAdministrativeAct(context.method)) return;
  const principal = findPrincipal(context);
  const errorReason = reasonOf(error);
  if (!principal || !errorReason || NO_ACT.has(errorReason)) return;
  const target = targetOf(context.method, message);
  const act = {
    ...target,
    carrierId: chainOf(principal, target.carrierId),
    actor: principal.identity,
    method: methodOf(context),
    errorReason,
    requestId: requestIdOf(message),
  };
  await refusals.record({ act, principal });
}

function watchErrors<T>(messages: AsyncIterable<T>, record: (error: unknown) => Promise<void>): AsyncIterable<T> {
  return throughSteps(messages, (step) =>
    step().catch(async (error: unknown) => {
      await record(error);
      throw error;
    }),
  );
}

// A call that the client cancelled, or that came while the server was shutting down, was neither
// refused nor did it fail. One that exceeded its principal's limits is left out, so that a flood of
// calls does not become a flood of writes.
const NO_ACT: ReadonlySet<string> = new Set([
  "CANCELLED",
  "DRAINING",
  "RATE_LIMITED",
  "TOO_MANY_STREAMS",
  "UNIMPLEMENTED",
]);

function chainOf(principal: Principal, named: string | undefined): string | undefined {
  return principal.kind === "carrier" ? principal.carrierId : named;
}

function reasonOf(error: unknown): ErrorReason | undefined {
  if (!(error instanceof ConnectError)) return undefined;
  return error.findDetails(ErrorInfoSchema)[0]?.reason as ErrorReason | undefined;
}

// A request_id of a wrong form may hold anything.
function requestIdOf(message: Message | undefined): string | undefined {
  const { requestId } = (message ?? {}) as { requestId?: string };
  return requestId !== undefined && isText(requestId, 64) ? requestId : undefined;
}
