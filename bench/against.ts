// npm run bench -- --against DIR: two builds in alternation, so that what else the machine does
// slows both. DIR is a checkout with its packages installed, of an older commit for instance.
import { execFile } from "node:child_process";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { quantile } from "./statistics.ts";

const run = promisify(execFile);

/** What to compare. */
export interface Comparison {
  /** The checkout to compare with. */
  readonly directory: string;
  /** Names of measures, as `--only` has them. */
  readonly measures: readonly string[];
  /** How many runs of each build; of two runs the older build's goes first every other time. */
  readonly rounds: number;
  /** What each run gets besides. */
  readonly args: readonly string[];
}

type Figures = Readonly<Record<string, number>>;

/** A figure of this build over the same figure of the other one, by rounds. */
interface Ratio {
  readonly name: string;
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
}

/**
 * Measures both builds in alternation and prints each figure's ratio, this build's over the
 * other's, with quartiles: more than 1 is better for a rate and worse for a time or a CPU figure.
 * @throws Error when a run of either build fails.
 */
export async function measureAgainst({ directory, measures, rounds, args }: Comparison): Promise<void> {
  const here = join(import.meta.dirname, "..");
  const there = resolve(directory);
  for (const measure of measures) {
    const pairs: { ours: Figures; theirs: Figures }[] = [];
    for (let round = 0; round < rounds; round++) {
      process.stderr.write(`measuring ${measure}, pair ${round + 1} of ${rounds} ...\n`);
      const theirsFirst = round % 2 === 0 ? await measureIn(there, measure, args) : undefined;
      const ours = await measureIn(here, measure, args);
      pairs.push({ ours, theirs: theirsFirst ?? (await measureIn(there, measure, args)) });
    }
    print(measure, ratiosOf(pairs));
  }
}

async function measureIn(directory: string, measure: string, args: readonly string[]): Promise<Figures> {
  const script = join(directory, "bench/run.ts");
  const node = join(directory, "node_modules/.bin/node");
  const { stdout } = await run(node, ["--max-semi-space-size=64", script, "--only", measure, ...args], {
    cwd: directory,
    maxBuffer: 2 ** 24,
  });
  return JSON.parse(stdout.slice(stdout.indexOf("{"))) as Figures;
}

function ratiosOf(pairs: readonly { ours: Figures; theirs: Figures }[]): Ratio[] {
  const names = Object.keys(pairs[0]?.ours ?? {}).filter((name) => pairs.every(({ theirs }) => name in theirs));
  return names.map((name) => ({
    name,
    ours: pairs.map(({ ours }) => ours[name] ?? Number.NaN),
    theirs: pairs.map(({ theirs }) => theirs[name] ?? Number.NaN),
  }));
}

function print(measure: string, ratios: readonly Ratio[]): void {
  process.stdout.write(`${measure}: this build over the other, median (quartiles), and the medians of both\n`);
  for (const { name, ours, theirs } of ratios) {
    const shares = ours.map((value, at) => value / (theirs[at] ?? Number.NaN));
    const [low, middle, high] = [0.25, 0.5, 0.75].map((share) => quantile(shares, share).toFixed(3));
    const figures = `${quantile(ours, 0.5).toPrecision(4)} over ${quantile(theirs, 0.5).toPrecision(4)}`;
    process.stdout.write(`  ${name.padEnd(32)} ${middle} (${low} to ${high})  ${figures}\n`);
  }
}
