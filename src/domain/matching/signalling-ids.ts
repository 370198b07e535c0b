import type { CorrelationIds } from "./facts.ts";

// Ids are compared by meaning: switches copy quotes, parameters and nil values.

/** Texts to find other records of the call by: without a common one, records share no id. */
export function dialogTexts({ dialogCallId }: CorrelationIds): string[] {
  const callId = plain(dialogCallId);
  return callId === "" ? [] : [callId];
}

/** The dialog's tags in any order: each side may write its own as local. */
export function tagsOf({ dialogFromTag, dialogToTag }: CorrelationIds): string[] {
  return [plain(dialogFromTag), plain(dialogToTag)].filter((tag) => tag !== "");
}

/** The charging id alone, without the rest of P-Charging-Vector (RFC 7315). */
export function icidTexts({ icid }: CorrelationIds): string[] {
  if (icid === undefined) return [];
  const [value = ""] = icid.replace(ICID_NAME, "").split(";");
  const text = plain(value);
  return text === "" ? [] : [text];
}

/**
 * The known ends of a Session-ID. Each end writes its own UUID first (`uuid;remote=uuid`), and nil
 * for an unknown one (RFC 7989 sections 5 and 6).
 */
export function sessionTexts(ids: CorrelationIds): readonly string[] {
  if (ids.sessionId === undefined) return NONE;
  const known = sessions.get(ids);
  if (known !== undefined) return known;
  const texts = readSession(ids.sessionId);
  sessions.set(ids, texts);
  return texts;
}

const NONE: readonly string[] = [];
/** A record is held against many others, and its ids are read once. */
const sessions = new WeakMap<CorrelationIds, readonly string[]>();

function readSession(sessionId: string): readonly string[] {
  if (!sessionId.includes(";") && !sessionId.includes('"'))
    return NIL.test(sessionId) ? NONE : [sessionId.toLowerCase()];
  const ends = plain(sessionId)
    .split(";")
    .map((end) => end.trim().replace(REMOTE, "").toLowerCase())
    .filter((end) => end !== "" && !end.includes("=") && !NIL.test(end));
  return [...new Set(ends)].sort();
}

/** Whether two Session-IDs share an end and contradict in none. */
export function isSameSession(a: CorrelationIds, b: CorrelationIds): boolean {
  return isWithin(sessionTexts(a), sessionTexts(b));
}

/** Whether two records share the Call-ID and no tags contradict. */
export function isSameDialog(a: CorrelationIds, b: CorrelationIds): boolean {
  if (!isSameCallId(a, b)) return false;
  const [mine, others] = [tagsOf(a), tagsOf(b)];
  return mine.length === 0 || others.length === 0 || isWithin(mine, others);
}

/** Whether Call-ID and both tags are equal: one dialog (RFC 3261 section 12). */
export function isProvenDialog(a: CorrelationIds, b: CorrelationIds): boolean {
  return tagsOf(a).length === 2 && tagsOf(b).length === 2 && isSameDialog(a, b);
}

/** Whether both name a Call-ID, and another one. */
export function isOtherCallId(a: CorrelationIds, b: CorrelationIds): boolean {
  if (a.dialogCallId === undefined || b.dialogCallId === undefined || a.dialogCallId === b.dialogCallId) return false;
  const [mine] = dialogTexts(a);
  const [others] = dialogTexts(b);
  return mine !== undefined && others !== undefined && mine !== others;
}

/** Whether ICIDs or Session-IDs differ. Networks replace them, so it is no proof. */
export function haveUnlikeIds(a: CorrelationIds, b: CorrelationIds): boolean {
  const isUnlike = (mine: readonly string[], others: readonly string[]) =>
    mine.length > 0 && others.length > 0 && !isWithin(mine, others);
  return isUnlike(icidTexts(a), icidTexts(b)) || isUnlike(sessionTexts(a), sessionTexts(b));
}

/** The texts by which a record's ids are found, by kind, the best first. */
export function idTexts(ids: CorrelationIds): readonly (readonly string[])[] {
  return [
    dialogTexts(ids).map((text) => `dialog/${text}`),
    icidTexts(ids).map((text) => `icid/${text}`),
    sessionTexts(ids).map((text) => `session/${text}`),
  ];
}

/**
 * A hash for a bigint column: two 32-bit FNV-1a with different starts. Hits are compared in full.
 */
export function hash64(text: string): bigint {
  let low = 0x811c9dc5;
  let high = 0x9747b28c;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    low = Math.imul(low ^ unit, 0x01000193);
    high = Math.imul(high ^ unit, 0x01000193) ^ (high >>> 15);
  }
  return BigInt.asIntN(64, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0));
}

const ICID_NAME = /^\s*icid-value\s*=\s*/i;
const REMOTE = /^remote\s*=\s*/i;
const NIL = /^0+$/;

function isSameCallId(a: CorrelationIds, b: CorrelationIds): boolean {
  if (a.dialogCallId === undefined || b.dialogCallId === undefined) return false;
  if (a.dialogCallId === b.dialogCallId) return true;
  const [mine] = dialogTexts(a);
  return mine !== undefined && mine === dialogTexts(b)[0];
}

function isWithin(as: readonly string[], bs: readonly string[]): boolean {
  const [fewer, more] = as.length <= bs.length ? [as, bs] : [bs, as];
  return fewer.length > 0 && fewer.every((text) => more.includes(text));
}

function plain(text: string | undefined): string {
  if (text === undefined) return "";
  const trimmed = text.trim();
  return trimmed.startsWith('"') && trimmed.endsWith('"') && trimmed.length > 1 ? trimmed.slice(1, -1).trim() : trimmed;
}
