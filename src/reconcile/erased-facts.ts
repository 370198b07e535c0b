import { e164Of } from "../domain/calls/party.ts";
import { countryOfNumber } from "../domain/carriers/country.ts";
import type { CommonFacts, CorrelationIds } from "../domain/matching/facts.ts";
import { type ErasureScope, erasedParty, isInScope, PARTY_NAMES, partiesInRole } from "../domain/privacy/erasure.ts";
import { microsFromMs } from "../domain/time/instant.ts";
import { rawStartMs } from "./result-row.ts";

/**
 * The facts of a record without the carrier's erased numbers. A call that is kept for now is
 * compared as erased too: its counterpart may come later and is erased then, and an erased number
 * equals only erased ones.
 */
export function withoutErased<Facts extends CommonFacts>(record: Facts, scopes: readonly ErasureScope[]): Facts {
  let facts = record;
  for (const scope of scopes) {
    const start = { startTime: microsFromMs(rawStartMs(record)), recordDate: record.recordDate };
    if (isInScope(scope, start)) facts = withoutOne(facts, scope);
  }
  return facts;
}

function withoutOne<Facts extends CommonFacts>(record: Facts, { number, role }: ErasureScope): Facts {
  const inRole = partiesInRole(role, record.direction, record.redirecting !== undefined);
  const erased = inRole.flatMap((name) => {
    const party = record[name];
    if (!party || !number.isParty(party)) return [];
    const e164 = e164Of(party);
    return [[name, erasedParty(party.countryCode ?? (e164 === undefined ? undefined : countryOfNumber(e164)))]];
  });
  if (erased.length === 0) return record;
  const rest = { ...record, ...Object.fromEntries(erased) } as Facts;
  // Ids keep a number that a party in another role has.
  const isElsewhere = PARTY_NAMES.some((name) => {
    const party = rest[name];
    return party !== undefined && number.isParty(party);
  });
  return isElsewhere ? rest : { ...rest, ids: maskedIds(rest.ids, (id) => number.mask(id)) };
}

function maskedIds(ids: CorrelationIds, mask: (id: string) => string): CorrelationIds {
  const masked = Object.entries(ids).map(([name, id]) => [name, typeof id === "string" ? mask(id) : id]);
  return Object.fromEntries(masked) as CorrelationIds;
}
