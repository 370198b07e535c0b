// Figures that may be unknown: what is made of an unknown one is unknown.

/** One figure minus another. */
export function difference(of: number | undefined, minus: number | undefined): number | undefined {
  return of === undefined || minus === undefined ? undefined : of - minus;
}

/** Rounded to a whole number, as int64 fields and columns have it. */
export function bigintOf(value: number | undefined): bigint | undefined {
  return value === undefined ? undefined : BigInt(Math.round(value));
}

export function numberOf(value: bigint | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}
