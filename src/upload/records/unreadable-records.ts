import { HashedContent, hashContent } from "../../domain/calls/record-hash.ts";
import type { RecordCodec } from "../record-codec.ts";
import type { PrepareContext, PreparedRecord } from "./prepared.ts";
import { refusedRecord } from "./record-limits.ts";
import type { UnreadableRecord } from "./record-list.ts";

/**
 * The refusal of a record that could not be read. Its identity and totals are taken from what could
 * be read.
 */
export function prepareUnreadable<Message>(
  codec: Pick<RecordCodec<Message>, "identity" | "connectedDurationMs">,
  context: PrepareContext,
  { problem, salvaged, bytes }: UnreadableRecord<Message>,
): PreparedRecord<unknown> {
  const { recordId, recordDate, revision = 1, isVoid } = codec.identity(salvaged);
  // The hash is of its bytes: its content could not be read.
  const contentHash = hashContent(context.hashSecret, HashedContent.UNREADABLE, bytes);
  const connectedDurationMs = codec.connectedDurationMs(salvaged) ?? 0n;
  return refusedRecord({ recordId, recordDate, revision, isVoid, contentHash, connectedDurationMs }, problem);
}
