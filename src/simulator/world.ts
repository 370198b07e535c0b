import { AssigneeKind, NumberType } from "../gen/tandem/type/v1/phone_number_pb.js";
import { type HomeCountry, MAX_NUMBERS_PER_CARRIER, platformNumber } from "./fictitious-numbers.ts";
import { createRandom } from "./random.ts";

/** A carrier as it is onboarded, with the numbers that it provisions. */
export interface SimulatedCarrier {
  readonly carrierId: string;
  readonly displayName: string;
  readonly legalCountry: HomeCountry;
  readonly timeZone: string;
  readonly sipDomain: string;
  /** At least two, for re-routes. */
  readonly trunkIds: readonly [string, string, ...string[]];
  /** How it rounds for billing. */
  readonly rounding: { readonly incrementS: number; readonly minimumS: number };
  readonly numbers: readonly SimulatedNumber[];
}

export interface SimulatedNumber {
  readonly phoneNumber: string;
  readonly countryCode: HomeCountry;
  readonly numberType: NumberType;
  readonly customerReference: string;
  /** What the platform's admin centre assigns it to; absent for a number that stays unassigned. */
  readonly assignment?: { readonly customerId: string; readonly assigneeKind: AssigneeKind };
}

/** A number that calls can be made with. */
export type AssignedNumber = SimulatedNumber & Required<Pick<SimulatedNumber, "assignment">>;

/** A carrier without its numbers. */
type CarrierInfo = Omit<SimulatedCarrier, "numbers">;

const CARRIERS: readonly CarrierInfo[] = [
  {
    carrierId: "albion-voice",
    displayName: "Albion Voice",
    legalCountry: "GB",
    timeZone: "Europe/London",
    sipDomain: "sip.albion-voice.example",
    trunkIds: ["lon-1", "man-1", "lon-2"],
    rounding: { incrementS: 1, minimumS: 0 },
  },
  {
    carrierId: "nordlys-tele",
    displayName: "Nordlys Tele",
    legalCountry: "DK",
    timeZone: "Europe/Copenhagen",
    sipDomain: "sip.nordlys-tele.example",
    trunkIds: ["cph-1", "aar-1"],
    rounding: { incrementS: 1, minimumS: 10 },
  },
  {
    carrierId: "prairie-bell",
    displayName: "Prairie Bell",
    legalCountry: "US",
    timeZone: "America/Chicago",
    sipDomain: "sip.prairie-bell.example",
    trunkIds: ["chi-1", "dfw-1", "nyc-1"],
    rounding: { incrementS: 6, minimumS: 6 },
  },
];

const CUSTOMERS = [
  "alder-works",
  "birch-clinic",
  "cedar-bank",
  "dogwood-school",
  "elm-logistics",
  "fir-hotels",
] as const;

/**
 * Makes the world, carriers of three countries and the numbers of their common customers: the same
 * for the same seed.
 *
 * @example
 * const world = createWorld({ seed: "1", numbersPerCarrier: 200 });
 */
export function createWorld(options: { seed: string; numbersPerCarrier?: number }) {
  const { seed, numbersPerCarrier = 100 } = options;
  const carriers = CARRIERS.map((carrier): SimulatedCarrier => {
    const random = createRandom(`${seed}/numbers/${carrier.carrierId}`);
    const numbers = range(numbersPerCarrier).map((index): SimulatedNumber => {
      const number = numberOf(carrier, index);
      if (random.chance(0.1)) return number;
      const assigneeKind = AssigneeKind[random.weighted({ USER: 85, VOICE_APPLICATION: 10, CONFERENCE: 5 })];
      return { ...number, assignment: { customerId: random.pick(CUSTOMERS), assigneeKind } };
    });
    return { ...carrier, numbers };
  });
  return { seed, carriers };
}

/**
 * A world in which so many people have one assigned number each, spread evenly over the carriers.
 * `numberOfPerson` follows the order.
 */
export function createWorldOfPeople(seed: string, people: number) {
  const random = createRandom(`${seed}/people`);
  const numbers = new Map<string, AssignedNumber[]>(CARRIERS.map(({ carrierId }) => [carrierId, []]));
  const numberOfPerson = range(people).map((person) => {
    const carrier = CARRIERS[person % CARRIERS.length] as CarrierInfo;
    const own = numbers.get(carrier.carrierId) ?? [];
    const assignment = { customerId: random.pick(CUSTOMERS), assigneeKind: AssigneeKind.USER };
    const number: AssignedNumber = { ...numberOf(carrier, own.length), assignment };
    own.push(number);
    return { carrier, number };
  });
  const carriers: SimulatedCarrier[] = CARRIERS.map((carrier) => ({
    ...carrier,
    numbers: numbers.get(carrier.carrierId) ?? [],
  }));
  return { world: { seed, carriers }, numberOfPerson };
}

/** The numbers of a carrier that calls can be made with. */
export function assignedNumbers(carrier: SimulatedCarrier): AssignedNumber[] {
  return carrier.numbers.filter((number): number is AssignedNumber => number.assignment !== undefined);
}

function numberOf(carrier: CarrierInfo, index: number): SimulatedNumber {
  if (index >= MAX_NUMBERS_PER_CARRIER) {
    throw new RangeError(`a simulated carrier has at most ${MAX_NUMBERS_PER_CARRIER} numbers`);
  }
  return {
    phoneNumber: platformNumber(carrier.legalCountry, index),
    countryCode: carrier.legalCountry,
    numberType: NumberType.GEOGRAPHIC,
    customerReference: `order-${1000 + Math.floor(index / 25)}`,
  };
}

function range(length: number): number[] {
  return Array.from({ length }, (_, index) => index);
}
