/** A sample as Prometheus scrapes it. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The samples of a scrape, in the text format. */
export function samplesOf(text: string): Sample[] {
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [, name = "", labels = "", value = ""] = /^([\w:]+)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
      const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label = "", text = ""]) => [
        label,
        text,
      ]);
      return { name, labels: Object.fromEntries(pairs) as Record<string, string>, value: Number(value) };
    });
}

/** The samples of a metric, those of a histogram's buckets, sum and count among them. */
export function samplesNamed(samples: readonly Sample[], name: string): Sample[] {
  return samples.filter((sample) => metricOf(sample.name) === name || sample.name === name);
}

/** How many buckets of a histogram have counted something, over all its labels. */
export function filledBuckets(samples: readonly Sample[], name: string): number {
  const filled = new Set<string>();
  const below = new Map<string, number>();
  for (const { labels, value } of samples.filter((sample) => sample.name === `${name}_bucket`)) {
    const { le = "", ...others } = labels;
    const series = JSON.stringify(others);
    if (value > (below.get(series) ?? 0)) filled.add(le);
    below.set(series, value);
  }
  return filled.size;
}

/** A sample's metric: that of a histogram's parts is the histogram. */
export function metricOf(sampleName: string): string {
  return sampleName.replace(/_(bucket|sum|count)$/, "");
}
