import { type CommonFacts, type PlatformFacts, type RecordName, recordText } from "../../domain/matching/facts.ts";
import { MAX_COMPONENT } from "../../domain/matching/pairing/components.ts";
import type { CallResult } from "../../domain/matching/result.ts";
import { CARRIER_SIDE, PLATFORM_SIDE } from "../../domain/record-kind.ts";
import { HOUR_MS } from "../../domain/time/instant.ts";
import { type Tx, together } from "../../store/database/run.ts";
import { type FoundCall, findCalls, findSplitCalls } from "../../store/reconciliation/call-results.ts";
import { durationKeyOf } from "../call-keys.ts";
import type { LoneCall } from "../lone-calls.ts";
import { rawStartMs } from "../result-row.ts";
import { spanAround, timeRange } from "../spans.ts";

/** A pair's starts are at most 25 h apart, and a zone shift is 15 h. */
const HOLDER_MS = 40 * HOUR_MS;
export const MOST_OF_A_KEY = MAX_COMPONENT;

type HeldRecord = RecordName & Pick<CommonFacts, "inviteMs" | "answerMs">;

/**
 * Finds stored results that hold records of the carrier, which may begin far away: as the record of
 * a pair or, of those that stand alone, as a part.
 */
export async function findHolders(
  tx: Tx,
  carrierId: string,
  alone: readonly HeldRecord[],
  paired: readonly HeldRecord[] = [],
): Promise<FoundCall[]> {
  const wanted = [...alone, ...paired].map((record) => ({
    key: durationKeyOf(record),
    ...timeRange(spanAround(rawStartMs(record), HOLDER_MS)),
  }));
  const found = await together([
    findCalls(tx, carrierId, { by: "correlation_key", side: PLATFORM_SIDE, wanted, limit: MOST_OF_A_KEY }),
    findSplitCalls(tx, carrierId, alone),
  ]);
  return found.flat();
}

/** What a turn looked for. Nothing is looked for twice for one purpose. */
export class Sought {
  readonly #texts = new Set<string>();
  readonly #calls = new Set<PlatformFacts>();

  fresh<T>(purpose: string, items: readonly T[], nameOf: (item: T) => string): T[] {
    return items.filter((item) => {
      const text = `${purpose}/${nameOf(item)}`;
      const isNew = !this.#texts.has(text);
      this.#texts.add(text);
      return isNew;
    });
  }

  /** Lone calls, which are looked for by their ids only. */
  freshCalls(lone: readonly LoneCall[]): LoneCall[] {
    return lone.filter(({ result: { pair } }) => {
      const isNew = !this.#calls.has(pair.platform);
      this.#calls.add(pair.platform);
      return isNew;
    });
  }
}

export function identityOf({ platform, carrier }: CallResult): string {
  const side = platform ? PLATFORM_SIDE : CARRIER_SIDE;
  return `${side}/${(platform ? [platform, ...carrier] : carrier).map(recordText).join()}`;
}
