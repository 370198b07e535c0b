import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { AuditAct } from "../../domain/privacy/audit.ts";
import { appendAuditEvent } from "../../store/audit/audit-log.ts";
import { findResponse, insertResponse, type RepeatableCall } from "../../store/database/request-log.ts";
import type { Tx } from "../../store/database/run.ts";
import { doneBy } from "./audit/audit.ts";

/** An act that a call asks for, and that is done once however often the call is repeated. */
export interface Acting<Desc extends DescMessage> {
  readonly context: HandlerContext;
  readonly call: RepeatableCall;
  /** Whose act it is: its answer and its audit event are kept there. Undefined: the platform's. */
  readonly carrierId: string | undefined;
  /** Of the answer. */
  readonly schema: Desc;
}

/** What was done: the answer, and what the audit log is told of it. */
export interface Done<Desc extends DescMessage> extends Pick<AuditAct, "resource" | "changedFields" | "details"> {
  readonly answer: MessageInitShape<Desc>;
}

/**
 * Gives the answer that a call got before. If there is none, does the act, keeps its answer for
 * repeats and appends it to the audit log, all in the caller's transaction. A caller who locks what
 * the act changes keeps repeats of the same moment out.
 * @param work undefined, with nothing written: another call was faster.
 * @returns undefined: that other call was not a repeat of this one.
 */
export function act<Desc extends DescMessage>(
  tx: Tx,
  acting: Acting<Desc>,
  work: () => Promise<Done<Desc>>,
): Promise<MessageShape<Desc>>;
export function act<Desc extends DescMessage>(
  tx: Tx,
  acting: Acting<Desc>,
  work: () => Promise<Done<Desc> | undefined>,
): Promise<MessageShape<Desc> | undefined>;
export async function act<Desc extends DescMessage>(
  tx: Tx,
  { context, call, carrierId, schema }: Acting<Desc>,
  work: () => Promise<Done<Desc> | undefined>,
): Promise<MessageShape<Desc> | undefined> {
  const find = () => findResponse(tx, carrierId ?? "", call);
  const given = await find();
  const done = given ? undefined : await work();
  if (!done) {
    // The second look sees what a repeat has committed since the first.
    const known = given ?? (await find());
    return known && fromBinary(schema, known);
  }
  const { answer, ...told } = done;
  const message = create(schema, answer);
  await insertResponse(tx, carrierId ?? "", call, toBinary(schema, message));
  await appendAuditEvent(tx, doneBy(context, { ...told, carrierId, requestId: call.auditedId }));
  return message;
}
