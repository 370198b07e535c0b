import { type Database, systemTransaction } from "../database/database.ts";
import { type Finding, Findings, runCheck, type Verification, type VerificationWatch } from "./verification.ts";
import { verifyAuditChains } from "./verify-audit.ts";
import { listCarrierIds, verifyEntries, verifyKeys } from "./verify-feeds.ts";
import { verifyClaims, verifyNumbers } from "./verify-numbers.ts";
import { verifyJudged, verifyResults } from "./verify-reconciliation.ts";
import { verifyTallies } from "./verify-tallies.ts";
import { verifyUploads } from "./verify-uploads.ts";

/** How many carriers are read at once. */
const CARRIER_PAGE = 100;

/**
 * Verifies what is stored of one carrier: each feed is dense from its floor to its head, every key
 * has its record and every record its key, each result rests on records that are there and each
 * record that was judged is in one, uploads hold the verdicts that they count, nothing is both
 * applied and in quarantine, numbers are as their feed says and claimed by whom they are held by,
 * and what a carrier has a most of is as many as its tally says. Reads page by page, each from a
 * snapshot of its own, so that it may run beside writers. An empty list: all adds up.
 * @throws the signal's reason when it is aborted.
 */
export async function verifyCarrier(
  db: Database,
  carrierId: string,
  signal: AbortSignal,
  watch?: VerificationWatch,
): Promise<Finding[]> {
  const { report, list } = new Findings(carrierId);
  for (const [check, verify] of CARRIER_CHECKS) {
    await runCheck({ carrierId, check, signal, watch }, (turn) => verify({ db, carrierId, signal, report, turn }));
  }
  return list;
}

const CARRIER_CHECKS: readonly (readonly [check: string, verify: (verification: Verification) => Promise<void>])[] = [
  ["entries and their keys", verifyEntries],
  ["keys and their entries", verifyKeys],
  ["results and their records", verifyResults],
  ["judged records and their results", verifyJudged],
  ["uploads and their verdicts", verifyUploads],
  ["numbers and their claims", verifyNumbers],
  ["tallies and what they count", verifyTallies],
];

/**
 * Verifies every carrier, one after the other, the chains of the audit log, and the claims on
 * numbers, which no carrier has to itself.
 * @throws CheckFailed when a check could not be carried out.
 */
export async function verifyAll(db: Database, signal: AbortSignal, watch?: VerificationWatch): Promise<Finding[]> {
  const findings: Finding[] = [];
  let after = "";
  while (true) {
    signal.throwIfAborted();
    const carrierIds = await systemTransaction(db, (tx) => listCarrierIds(tx, after, CARRIER_PAGE));
    for (const carrierId of carrierIds) findings.push(...(await verifyCarrier(db, carrierId, signal, watch)));
    after = carrierIds.at(-1) ?? after;
    if (carrierIds.length < CARRIER_PAGE) break;
  }
  await runCheck({ carrierId: "", check: "the chains of the audit log", signal, watch }, async (turn) => {
    turn();
    findings.push(...(await verifyAuditChains(db, signal)));
  });
  const claims = new Map<string, Findings>();
  await runCheck({ carrierId: "", check: "claims on numbers", signal, watch }, (turn) =>
    verifyClaims({ db, signal, turn }, (carrierId, check, detail) => {
      const ofCarrier = claims.get(carrierId) ?? new Findings(carrierId);
      claims.set(carrierId, ofCarrier);
      ofCarrier.report(check, detail);
    }),
  );
  return [...findings, ...[...claims.values()].flatMap((ofCarrier) => ofCarrier.list)];
}
