import { type Database, systemTransaction } from "./database.ts";
import { type Finding, Findings, type Verification } from "./verification.ts";
import { verifyAuditChains } from "./verify-audit.ts";
import { listCarrierIds, verifyEntries, verifyKeys } from "./verify-feeds.ts";
import { verifyClaims, verifyNumbers } from "./verify-numbers.ts";
import { verifyJudged, verifyResults } from "./verify-reconciliation.ts";
import { verifyTallies } from "./verify-tallies.ts";
import { verifyUploads } from "./verify-uploads.ts";

/** How many carriers are read at once. */
const CARRIER_PAGE = 100;

/**
 * Verifies what is stored of one carrier: each feed is dense from its floor to its head, every key has its record and every record its key, each result
 * rests on records that are there and each record that was judged is in one, uploads hold the verdicts that they count, nothing is both applied and in
 * quarantine, numbers are as their feed says and claimed by whom they are held by, and what a carrier has a most of is as many as its tally says. Reads page by
 * page, each from a snapshot of its own, so that it may run beside writers. An empty list: all adds up.
 * @throws the signal's reason when it is aborted.
 */
export async function verifyCarrier(db: Database, carrierId: string, signal: AbortSignal): Promise<Finding[]> {
  const findings = new Findings(carrierId);
  const verification: Verification = { db, carrierId, signal, report: findings.report };
  await verifyEntries(verification);
  await verifyKeys(verification);
  await verifyResults(verification);
  await verifyJudged(verification);
  await verifyUploads(verification);
  await verifyNumbers(verification);
  await verifyTallies(verification);
  return findings.list;
}

/** Verifies every carrier, one after the other, the chains of the audit log, and the claims on numbers, which no carrier has to itself. */
export async function verifyAll(db: Database, signal: AbortSignal): Promise<Finding[]> {
  const findings: Finding[] = [];
  let after = "";
  while (true) {
    signal.throwIfAborted();
    const carrierIds = await systemTransaction(db, (tx) => listCarrierIds(tx, after, CARRIER_PAGE));
    for (const carrierId of carrierIds) findings.push(...(await verifyCarrier(db, carrierId, signal)));
    after = carrierIds.at(-1) ?? after;
    if (carrierIds.length < CARRIER_PAGE) break;
  }
  findings.push(...(await verifyAuditChains(db, signal)));
  const claims = new Map<string, Findings>();
  await verifyClaims(db, signal, (carrierId, check, detail) => {
    const ofCarrier = claims.get(carrierId) ?? new Findings(carrierId);
    claims.set(carrierId, ofCarrier);
    ofCarrier.report(check, detail);
  });
  return [...findings, ...[...claims.values()].flatMap((ofCarrier) => ofCarrier.list)];
}
