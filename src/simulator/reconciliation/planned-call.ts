import { HOUR_MS } from "../../domain/time/instant.ts";
import { type Callers, callersOf, drawEnds } from "../call-parties.ts";
import { pstnNumber } from "../fictitious-numbers.ts";
import type { Random } from "../random.ts";
import type { SimulatedCarrier } from "../world.ts";
import type { Calendar, Place, PlaceRule, TrunkCondition } from "./calendar.ts";
import type { CallEnds, CallKind } from "./parties.ts";

/** Which signalling ids both sides have of a call. */
export type Signalling =
  | { readonly ids: "none" }
  | { readonly ids: "own" }
  /** One Session-ID (RFC 7989) for every attempt of a session. */
  | { readonly ids: "shared"; readonly sessionId: string };

/** What is known of a call before its records are written. */
export interface PlannedCall<Fault extends string = string> {
  readonly fault: Fault;
  readonly ends: CallEnds;
  readonly trunkId: string;
  readonly condition: TrunkCondition;
  readonly inviteMs: number;
  readonly answered: boolean;
  readonly connectedMs: number;
  readonly signalling: Signalling;
}

/** What calls a fault can be planted in. */
export interface CallWish {
  readonly place: PlaceRule;
  readonly kind?: CallKind;
  readonly unanswered?: boolean;
  /** Milliseconds. Default: as calls usually are. */
  readonly connectedMs?: (random: Random) => number;
}

/** Plans calls between a carrier's numbers and the PSTN. */
export class CallPlanner {
  readonly #callers: Callers;
  readonly #random: Random;
  readonly #calendar: Calendar;
  readonly #correlatedShare: number;

  constructor(
    { carrier, calendar, correlatedShare }: { carrier: SimulatedCarrier; calendar: Calendar; correlatedShare: number },
    random: Random,
  ) {
    this.#callers = callersOf(carrier, random);
    this.#random = random;
    this.#calendar = calendar;
    this.#correlatedShare = correlatedShare;
  }

  plan<Fault extends string>(fault: Fault, wish: CallWish): PlannedCall<Fault> {
    return this.planAt(fault, this.#calendar.draw(this.#random, wish.place), wish);
  }

  planAt<Fault extends string>(fault: Fault, place: Place, wish: Omit<CallWish, "place"> = {}): PlannedCall<Fault> {
    return {
      fault,
      ends: this.drawEnds(wish.kind ?? "outbound"),
      trunkId: place.trunkId,
      condition: place.condition,
      inviteMs: place.ms,
      answered: !wish.unanswered,
      connectedMs: wish.connectedMs?.(this.#random) ?? usualConnectedMs(this.#random),
      signalling: this.drawSignalling(),
    };
  }

  drawEnds(kind: CallKind): CallEnds {
    const { number, contact } = drawEnds(this.#callers, this.#random);
    return { kind, number, contact, originalCaller: pstnNumber(this.#random, number.countryCode) };
  }

  /** Draws as often at any share, so that the rest of the world stays the same. */
  drawSignalling(): Signalling {
    return this.#random.chance(this.#correlatedShare) ? { ids: "own" } : { ids: "none" };
  }
}

function usualConnectedMs(random: Random): number {
  return Math.round(Math.min(Math.max(random.logNormal(95_000, 1.1), 700), HOUR_MS));
}
