import { given } from "../../domain/given.ts";
import type { CallTruth } from "./truth.ts";

/** What was found of one call, in the contract's names without prefixes. */
export interface FoundResult {
  readonly platformRecordId?: string | undefined;
  readonly carrierRecordIds: readonly string[];
  readonly status: string;
  readonly causes: readonly string[];
}

/** A call's truth and its result. A wrong call lacks one, or they differ. */
export interface ScoredCall {
  readonly truth?: CallTruth;
  readonly found?: FoundResult;
  /** Of a result without a truth: whether its record is of an ambiguous call. */
  readonly isAmbiguous: boolean;
}

/** Which unambiguous calls were not found as they are. */
export function findWrongCalls(truths: readonly CallTruth[], found: readonly FoundResult[]): ScoredCall[] {
  return alignResults(truths, found).filter((call) => !call.isAmbiguous && !isRight(call));
}

/** Joins results to truths by the record that names the call. */
export function alignResults(truths: readonly CallTruth[], found: readonly FoundResult[]): ScoredCall[] {
  const foundByName = new Map(exchangeCopies(truths, found).map((result) => [nameOf(result), result]));
  const aligned: ScoredCall[] = [];
  for (const truth of truths) {
    const name = nameOf(truth);
    aligned.push({ truth, ...given({ found: foundByName.get(name) }), isAmbiguous: truth.isAmbiguous });
    foundByName.delete(name);
  }
  const unsure = new Set(truths.flatMap((truth) => (truth.isAmbiguous ? truth.carrierRecordIds : [])));
  for (const result of foundByName.values()) {
    aligned.push({ found: result, isAmbiguous: result.carrierRecordIds.some((id) => unsure.has(id)) });
  }
  return aligned;
}

/** Nobody can tell a record from its copy. If the copy was paired, exchanges their ids. */
function exchangeCopies(truths: readonly CallTruth[], found: readonly FoundResult[]): FoundResult[] {
  const byName = new Map(found.map((result) => [nameOf(result), result]));
  const isPaired = (platformRecordId: string) =>
    (byName.get(`platform ${platformRecordId}`)?.carrierRecordIds.length ?? 0) > 0;
  const other = new Map<string, string>();
  for (const { copyOf, platformRecordId, carrierRecordIds } of truths) {
    if (copyOf === undefined) continue;
    const [copy = ""] = platformRecordId === undefined ? carrierRecordIds : [platformRecordId];
    const isCopyKept =
      platformRecordId === undefined
        ? byName.has(`carrier ${copyOf}`) && !byName.has(`carrier ${copy}`)
        : isPaired(copy) && !isPaired(copyOf);
    if (isCopyKept) other.set(copy, copyOf).set(copyOf, copy);
  }
  const exchanged = (id: string) => other.get(id) ?? id;
  return found.map((result) => ({
    ...result,
    platformRecordId: result.platformRecordId && exchanged(result.platformRecordId),
    carrierRecordIds: result.carrierRecordIds.map(exchanged),
  }));
}

function nameOf(call: Pick<FoundResult, "platformRecordId" | "carrierRecordIds">): string {
  return call.platformRecordId === undefined
    ? `carrier ${call.carrierRecordIds[0]}`
    : `platform ${call.platformRecordId}`;
}

export function isRight({ truth, found }: ScoredCall): boolean {
  return truth !== undefined && truth.status === found?.status && truth.causes.join() === found.causes.join();
}
