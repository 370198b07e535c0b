import type { Stated } from "../../domain/enum-values.ts";
import { type AuditBreak, ChainCheck } from "../../domain/privacy/audit-chain.ts";
import { later } from "../../domain/time/instant.ts";
import { AuditBreakKind } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { type ChainEnds, listAuditEvents, listChains, readChainEnds } from "../audit/audit-events.ts";
import { PLATFORM_CHAIN } from "../audit/audit-log.ts";
import { type Database, systemTransaction } from "../database/database.ts";
import type { Finding } from "./verification.ts";

const PAGE = 1_000;
const MAX_ATTEMPTS = 3;
const CHAIN_PAGE = 1_000;

export interface AuditVerification {
  /** Undefined: the platform's. */
  readonly carrierId: string | undefined;
  /** Default: the first that is kept. */
  readonly firstSequence?: bigint | undefined;
  /** Default: the newest. */
  readonly lastSequence?: bigint | undefined;
  /** A hash that was kept elsewhere, of the event at lastSequence. */
  readonly expectedHash?: Uint8Array | undefined;
}

export interface AuditVerdict {
  readonly verifiedCount: bigint;
  /** 0: no event was looked at. */
  readonly firstSequence: bigint;
  readonly lastSequence: bigint;
  /** Of the last event that was looked at; undefined: there is none. */
  readonly lastHash: Uint8Array | undefined;
  readonly firstBreak: AuditBreak | undefined;
}

/**
 * Recomputes the hashes of a chain page by page, each in its own transaction, up to its present
 * end.
 * @returns undefined: no such chain.
 */
export async function verifyAuditChain(
  db: Database,
  asked: AuditVerification,
  signal: AbortSignal,
): Promise<AuditVerdict | undefined> {
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted();
    const ends = await systemTransaction(db, (tx) => readChainEnds(tx, asked.carrierId));
    if (!ends) return undefined;
    const verdict = await verifyBetween(db, asked, ends, signal);
    if (attempt >= MAX_ATTEMPTS || !(await wasForgotten(db, asked.carrierId, verdict.firstBreak))) return verdict;
  }
}

/** Verifies every chain. Empty: all are whole. */
export async function verifyAuditChains(db: Database, signal: AbortSignal): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (let after: string | undefined, count = CHAIN_PAGE; count === CHAIN_PAGE; ) {
    const from: string | undefined = after;
    const chains = await systemTransaction(db, (tx) => listChains(tx, from, CHAIN_PAGE));
    for (const carrierId of chains) {
      const asked = { carrierId: carrierId === PLATFORM_CHAIN ? undefined : carrierId };
      const found = (await verifyAuditChain(db, asked, signal))?.firstBreak;
      if (!found) continue;
      const detail = `${BREAK_NAMES[found.kind]} at sequence ${found.sequence} of the audit log`;
      findings.push({ carrierId, check: "AUDIT_CHAIN_BROKEN", detail });
    }
    after = chains.at(-1);
    count = chains.length;
  }
  return findings;
}

const BREAK_NAMES: Record<Stated<AuditBreakKind>, string> = {
  [AuditBreakKind.CONTENT]: "changed content",
  [AuditBreakKind.LINK]: "a broken link",
  [AuditBreakKind.GAP]: "a gap",
  [AuditBreakKind.EXPECTED_HASH]: "another hash than expected",
};

async function verifyBetween(
  db: Database,
  asked: AuditVerification,
  ends: ChainEnds,
  signal: AbortSignal,
): Promise<AuditVerdict> {
  const first = later(asked.firstSequence ?? ends.first, ends.first);
  const last = asked.lastSequence ?? ends.last;
  // Of a chain whose events retention has deleted, the head still tells the last.
  const headHash = ends.last === first - 1n ? ends.lastHash : undefined;
  const previousHash = (await readHash(db, asked.carrierId, first - 1n)) ?? headHash;
  const check = new ChainCheck({ first, last, previousHash });
  const found = (await walk(db, asked.carrierId, { first, last }, check, signal)) ?? findEndBreak(check, asked, ends);
  return {
    verifiedCount: check.count,
    firstSequence: check.lastEvent ? first : 0n,
    lastSequence: check.lastEvent?.sequence ?? 0n,
    lastHash: check.lastEvent?.entryHash,
    firstBreak: found,
  };
}

// Retention may have taken the oldest events between two pages.
async function wasForgotten(db: Database, carrierId: string | undefined, found: AuditBreak | undefined) {
  if (found?.kind !== AuditBreakKind.GAP) return false;
  const ends = await systemTransaction(db, (tx) => readChainEnds(tx, carrierId));
  return ends !== undefined && ends.first > found.sequence;
}

async function walk(
  db: Database,
  carrierId: string | undefined,
  { first, last }: { first: bigint; last: bigint },
  check: ChainCheck,
  signal: AbortSignal,
): Promise<AuditBreak | undefined> {
  for (let after = first - 1n; after < last; ) {
    signal.throwIfAborted();
    const from = after;
    const events = await systemTransaction(db, (tx) =>
      listAuditEvents(tx, { carrierId }, { afterSequence: from, limit: PAGE }),
    );
    for (const event of events) {
      if (event.sequence > last) return undefined;
      const found = check.add(event);
      if (found) return found;
      after = event.sequence;
    }
    if (events.length < PAGE) return undefined;
  }
  return undefined;
}

function findEndBreak(check: ChainCheck, asked: AuditVerification, ends: ChainEnds): AuditBreak | undefined {
  const isWhole = asked.lastSequence === undefined;
  const missing = ends.last + 1n;
  if (isWhole && (asked.firstSequence ?? 0n) > missing) return { kind: AuditBreakKind.GAP, sequence: missing };
  const headHash = (isWhole || asked.lastSequence === ends.last) && check.lastEvent ? ends.lastHash : undefined;
  const found = check.end({ headHash, expectedHash: asked.expectedHash });
  if (found) return found;
  // Behind the head there is nothing, unless somebody put it there.
  return isWhole && ends.newest > ends.last ? { kind: AuditBreakKind.LINK, sequence: missing } : undefined;
}

async function readHash(
  db: Database,
  carrierId: string | undefined,
  sequence: bigint,
): Promise<Uint8Array | undefined> {
  if (sequence < 1n) return undefined;
  const [event] = await systemTransaction(db, (tx) =>
    listAuditEvents(tx, { carrierId }, { afterSequence: sequence - 1n, limit: 1 }),
  );
  return event?.sequence === sequence ? event.entryHash : undefined;
}
