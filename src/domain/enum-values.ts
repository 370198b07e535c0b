/** An enum of the contract without UNSPECIFIED. */
export type Stated<Enum extends number> = Exclude<Enum, 0>;

type EnumObject<Enum> = Readonly<Record<string, Enum | string>>;

/** The values of one of the contract's enums, in order, without UNSPECIFIED. */
export function enumValues<Enum extends number>(of: EnumObject<Enum>): Stated<Enum>[] {
  return Object.values(of).filter((value): value is Stated<Enum> => typeof value === "number" && value !== 0);
}

/** The highest value of one of the contract's enums: their values are 0, 1 and so on. */
export function lastValue(of: EnumObject<number>): number {
  return enumValues(of).length;
}
