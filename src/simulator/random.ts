/** Random choices: the same for the same seed, on every machine and in every version of Node. */
export interface Random {
  /** In [0, 1). */
  readonly next: () => number;
  /** A whole number, both ends included. */
  readonly int: (min: number, max: number) => number;
  /** True with this probability. */
  readonly chance: (probability: number) => boolean;
  readonly pick: <T>(list: readonly T[]) => T;
  /** One of the keys, by weight. */
  readonly weighted: <K extends string>(weights: Readonly<Record<K, number>>) => K;
  /** Log-normal by its median; `sigma` 0 is the median itself. */
  readonly logNormal: (median: number, sigma: number) => number;
  /** Lower-case hex digits. */
  readonly hex: (digits: number) => string;
  /** A stream of its own: what one part draws does not shift what another draws. */
  readonly fork: (label: string | number) => Random;
}

/** A stream of sfc32 (Doty-Humphrey's Small Fast Counter, 32 bit), seeded from the text's hash. */
export function createRandom(seed: string): Random {
  const next = sfc32(seed);
  const int = (min: number, max: number) => min + Math.floor(next() * (max - min + 1));
  return {
    next,
    int,
    chance: (probability) => next() < probability,
    pick: (list) => {
      const item = list[int(0, list.length - 1)];
      if (item === undefined) throw new RangeError("cannot pick from an empty list");
      return item;
    },
    weighted: (weights) => pickWeighted(weights, next()),
    logNormal: (median, sigma) => median * Math.exp(sigma * normal(next)),
    hex: (digits) => Array.from({ length: digits }, () => int(0, 15).toString(16)).join(""),
    fork: (label) => createRandom(`${seed}/${label}`),
  };
}

function pickWeighted<K extends string>(weights: Readonly<Record<K, number>>, point: number): K {
  const keys = Object.keys(weights) as K[];
  let left = point * keys.reduce((sum, key) => sum + weights[key], 0);
  for (const key of keys) {
    left -= weights[key];
    if (left < 0) return key;
  }
  const last = keys.at(-1);
  if (last === undefined) throw new RangeError("cannot pick from no weights");
  return last;
}

/** Standard normal, by Box and Muller. */
function normal(next: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
}

function sfc32(seed: string): () => number {
  let [a, b, c, counter] = [hash(seed, 1), hash(seed, 2), hash(seed, 3), 1];
  const next = () => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  // Neighbouring seeds need a few rounds to part.
  for (let round = 0; round < 12; round += 1) next();
  return next;
}

/** FNV-1a, 32 bit, with an offset of its own for each salt. */
function hash(text: string, salt: number): number {
  let value = 0x811c9dc5 ^ Math.imul(salt, 0x9e3779b1);
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  return value | 0;
}
