import { instantsOfLocal } from "../../../domain/time/time-zone.ts";

/** A time as it stands in a row: an instant, or what a clock on the wall showed. Milliseconds. */
export type Stamp = { readonly instantMs: number } | { readonly localMs: number };

/** A row's times, as far as it has them, and the lengths that it tells, in milliseconds. */
export interface Stamps {
  readonly start?: Stamp | undefined;
  readonly answer?: Stamp | undefined;
  readonly end?: Stamp | undefined;
  /** Start to end. */
  readonly totalMs?: number | undefined;
  /** Answer to end. */
  readonly talkMs?: number | undefined;
}

/** The same as instants. */
export interface Instants {
  readonly startMs?: number | undefined;
  readonly answerMs?: number | undefined;
  readonly endMs?: number | undefined;
}

/** Whole seconds are cut at either end. */
const SLACK_MS = 2_000;
/** Records are not written in the very order of their ends. */
const OUT_OF_ORDER_MS = 60_000;
/** A switch that wrote a record so shortly before is taken to have gone on in the same hour. */
const BUSY_MS = 30 * 60_000;

/** What a time in the hour that occurs twice cannot be told apart by. */
export const TWICE = "occurs twice on that day and nothing tells which is meant: write its offset, such as +02:00";
export const NEVER = "does not occur on that day in that time zone: clocks were put forward";

/**
 * Turns the local times of one file into instants. In the hour that occurs twice, a row's lengths
 * tell which is meant; else the order of the rows does, which switches write when calls end.
 */
export class LocalClock {
  readonly #timeZone: string;
  #lastEndMs: number | undefined;

  constructor(timeZone: string) {
    this.#timeZone = timeZone;
  }

  /** The row's instants, or why there are none. */
  read(stamps: Stamps): Instants | typeof TWICE | typeof NEVER {
    const { start, answer, end } = stamps;
    const each = [start, answer, end].map((stamp) => this.#candidates(stamp));
    if (each.some(({ length }) => length === 0)) return NEVER;
    const fitting = fittingOf(each, stamps);
    const chosen = fitting.length === 1 ? fitting[0] : this.#byOrder(fitting);
    if (chosen === undefined) return TWICE;
    this.#lastEndMs = chosen.endMs ?? chosen.answerMs ?? chosen.startMs ?? this.#lastEndMs;
    return chosen;
  }

  #candidates(stamp: Stamp | undefined): readonly (number | undefined)[] {
    if (stamp === undefined) return [undefined];
    return "instantMs" in stamp ? [stamp.instantMs] : instantsOfLocal(this.#timeZone, stamp.localMs);
  }

  #byOrder(fitting: readonly Instants[]): Instants | undefined {
    const last = this.#lastEndMs;
    if (last === undefined) return undefined;
    const after = fitting
      .map((each) => ({ each, endMs: each.endMs ?? each.answerMs ?? each.startMs ?? 0 }))
      .filter(({ endMs }) => endMs >= last - OUT_OF_ORDER_MS)
      .sort((a, b) => a.endMs - b.endMs);
    const [first] = after;
    return first && (after.length === 1 || first.endMs - last <= BUSY_MS) ? first.each : undefined;
  }
}

function fittingOf(each: readonly (readonly (number | undefined)[])[], stamps: Stamps): readonly Instants[] {
  const [starts = [], answers = [], ends = []] = each;
  const all = starts.flatMap((startMs) =>
    answers.flatMap((answerMs) => ends.map((endMs): Instants => ({ startMs, answerMs, endMs }))),
  );
  const inOrder = narrow(all, ({ startMs, answerMs, endMs }) => {
    const times = [startMs, answerMs, endMs].filter((ms) => ms !== undefined);
    return times.every((ms, index) => index === 0 || ms >= (times[index - 1] ?? 0) - SLACK_MS);
  });
  return narrow(
    inOrder,
    ({ startMs, answerMs, endMs }) => agrees(startMs, endMs, stamps.totalMs) && agrees(answerMs, endMs, stamps.talkMs),
  );
}

/** Those that hold, unless none does: a row may be wrong otherwise. */
function narrow(all: readonly Instants[], holds: (each: Instants) => boolean): readonly Instants[] {
  const some = all.filter(holds);
  return some.length > 0 ? some : all;
}

function agrees(fromMs: number | undefined, toMs: number | undefined, lengthMs: number | undefined): boolean {
  if (fromMs === undefined || toMs === undefined || lengthMs === undefined) return true;
  return Math.abs(toMs - fromMs - lengthMs) <= SLACK_MS;
}
