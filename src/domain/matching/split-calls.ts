import type { CarrierUnit } from "./call-unit.ts";
import type { Pairing } from "./pairing.ts";

export function mergeKnownParts(units: readonly CarrierUnit[]): readonly CarrierUnit[] {
  return units;
}

export function mergeLeftParts(_pairing: Pairing): void {}
