import { type Message, toJson } from "@bufbuild/protobuf";
import { createContextKey, type HandlerContext, type Interceptor } from "@connectrpc/connect";
import type { Principal } from "../../../domain/carriers/principal.ts";
import { TandemError } from "../../../domain/errors.ts";
import { numberHash } from "../../../domain/numbers/number-hash.ts";
import { disclosedFilter } from "../../../domain/privacy/disclosed-filter.ts";
import type { DisclosureTerms } from "../../../domain/privacy/disclosure.ts";
import { PRIVACY_STATEMENT_VERSION } from "../../../domain/privacy/retention.ts";
import { RecipientKind } from "../../../gen/tandem/platform/v1/disclosure_pb.js";
import { carrierTransaction } from "../../../store/database/database.ts";
import type { Tx } from "../../../store/database/run.ts";
import { insertNamedRecords } from "../../../store/privacy/disclosures.ts";
import { principalOf } from "../access/caller.ts";
import type { Services } from "../context.ts";
import { disclosureRuleOf } from "../method-rules.ts";
import type { DisclosedRecord } from "./disclosed-records.ts";

/** What a get, list or export delivers. */
export interface Reading {
  /** The request: what it asked for is kept, its numbers as keyed hashes. */
  readonly request: Message;
  /** Whether numbers of other parties are masked in the answer. */
  readonly masked: boolean;
  /** Of an export: its export_id. */
  readonly sessionId?: string;
  /** In any order; empty: the answer discloses nothing, and nothing is written. */
  readonly disclosed: readonly DisclosedRecord[];
}

/**
 * Commits that the caller may have received these records. Await it before anything of them is
 * sent.
 * @throws TandemError STORE_UNAVAILABLE when it could not be committed: then send nothing.
 */
export async function discloseRecords(
  services: Pick<Services, "db" | "installation" | "log">,
  context: HandlerContext,
  { request, masked, sessionId, disclosed }: Reading,
): Promise<void> {
  context.values.set(declaredKey, true);
  if (disclosed.length === 0) return;
  const terms = disclosureTerms(services, context, { request, masked, sessionId });
  // One carrier a transaction, as everywhere.
  for (const [carrierId, its] of Map.groupBy(disclosed, (each) => each.carrierId)) {
    const insert = (tx: Tx) => insertDisclosed(tx, carrierId, terms, its);
    await committed(services, carrierTransaction(services.db, carrierId, insert));
  }
}

/** Writes down records of one carrier: those of one side and the same parts together. */
export async function insertDisclosed(
  tx: Tx,
  carrierId: string,
  terms: DisclosureTerms,
  disclosed: readonly DisclosedRecord[],
): Promise<void> {
  const alike = Map.groupBy(disclosed, ({ side, recordParts }) => `${side} ${recordParts.join()}`);
  for (const its of alike.values()) {
    const [{ side, recordParts }] = its as [DisclosedRecord];
    await insertNamedRecords(tx, carrierId, terms, { side, recordParts, records: its.map(({ record }) => record) });
  }
}

/**
 * What the log says of a call besides its records. Throws for a method that the rules do not let
 * disclose any.
 */
export function disclosureTerms(
  { installation }: Pick<Services, "installation">,
  context: HandlerContext,
  reading: { request: Message; masked: boolean; sessionId: string | undefined },
): DisclosureTerms {
  const rule = disclosureRuleOf(context.method);
  const method = `${context.service.typeName}/${context.method.name}`;
  if (!rule?.discloses) throw new Error(`${method} has no rule by which it may disclose records`);
  const principal = principalOf(context);
  // The request is read as the method's own type, whatever class of it the caller holds.
  const json = toJson(context.method.input, reading.request as never, { useProtoFieldName: true });
  const filter = disclosedFilter(json, (number) => numberHash(installation.secret, number));
  return {
    recipientKind: recipientOf(principal),
    credentialId: principal.identity,
    method,
    kind: rule.kind,
    sessionId: reading.sessionId,
    filter,
    masked: reading.masked,
    purpose: rule.purpose,
    legalBasis: rule.legalBasis,
    privacyStatementVersion: PRIVACY_STATEMENT_VERSION,
  };
}

function recipientOf(principal: Principal): RecipientKind {
  return principal.kind === "carrier" && !principal.byPlatform ? RecipientKind.CARRIER : RecipientKind.PLATFORM;
}

/**
 * Waits for the commit of a disclosure; a failure is logged, and the caller is told to call again.
 */
export async function committed<T>({ log }: Pick<Services, "log">, commit: Promise<T>): Promise<T> {
  return commit.catch((cause: unknown) => {
    // The call ended, or the caller exceeded its share: nothing is wrong with the log.
    if (isAbort(cause)) throw cause;
    if (cause instanceof TandemError) throw cause;
    log.error({ err: cause }, "a disclosure could not be written down");
    const message = "what would be disclosed could not be written down, so nothing is sent: call again";
    throw new TandemError("STORE_UNAVAILABLE", message, {}, { cause });
  });
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

/**
 * Holds back the answer of a method whose rule is to disclose, and that has not said what it
 * discloses: a forgotten one is a fault, and not a silent leak. For streams the types see to it.
 */
export const disclosureInterceptor: Interceptor = (next) => async (request) => {
  const response = await next(request);
  const isOwed = !response.stream && disclosureRuleOf(request.method)?.discloses === true;
  if (isOwed && !request.contextValues.get(declaredKey))
    throw new Error(`${request.method.name} has not said what it discloses`);
  return response;
};

/** Whether a call has said what it discloses. */
const declaredKey = createContextKey(false, { description: "disclosure declared" });
