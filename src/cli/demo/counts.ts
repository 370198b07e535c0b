/** How often each name comes up, or how much of it in all. */
export function countNames<Item>(
  items: readonly Item[],
  namesOf: (item: Item) => readonly string[],
  weightOf: (item: Item) => number = () => 1,
): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) {
    for (const name of namesOf(item)) counts.set(name, (counts.get(name) ?? 0) + weightOf(item));
  }
  return counts;
}

export function sumOf<Item>(items: readonly Item[], count: (item: Item) => number | bigint | undefined): number {
  return items.reduce((total, item) => total + Number(count(item) ?? 0), 0);
}
