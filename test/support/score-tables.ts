import { type Accuracy, NOTHING, type Score } from "./score.ts";

/** A score as tables: the confusion matrix, then precision and recall by status and cause. */
export function formatScore(score: Score): string {
  const { ambiguous } = score;
  return [
    `Unambiguous calls, truth by row, found by column (${score.callCount - ambiguous.count} calls):`,
    ...confusionLines(score.confusion),
    "",
    ...accuracyLines("status", score.byStatus),
    "",
    ...accuracyLines("cause", score.byCause),
    "",
    `wrongly said to be missing: ${score.falseMissing}; paired with another call's record: ${score.wrongPartner}`,
    `ambiguous: ${ambiguous.count} calls, ${(ambiguous.share * 100).toFixed(1)} % of all; right all the same: ${ambiguous.right}, wrongly missing: ${ambiguous.falseMissing}`,
    "",
    ...accuracyLines("status, ambiguous calls (no bound)", ambiguous.byStatus),
  ].join("\n");
}

/**
 * Which bounds are missed: precision and recall of each status and cause of unambiguous calls (and
 * of AMBIGUOUS itself), how often each was planted, no false MISSING, enough ambiguous calls.
 */
export function findShortfalls(score: Score, { least = 0.99, leastPlanted = 0, leastAmbiguous = 0.05 } = {}): string[] {
  const shortfalls: string[] = [];
  const crowds = [...score.ambiguous.byStatus].filter(([name]) => name === "AMBIGUOUS");
  for (const [name, { right, overlooked, precision, recall }] of [...score.byStatus, ...crowds, ...score.byCause]) {
    if (name === NOTHING) continue;
    if (precision < least) shortfalls.push(`precision of ${name} is ${precision.toFixed(4)}`);
    if (recall < least) shortfalls.push(`recall of ${name} is ${recall.toFixed(4)}`);
    if (right + overlooked < leastPlanted) shortfalls.push(`${name} is planted only ${right + overlooked} times`);
  }
  if (score.falseMissing > 0) shortfalls.push(`${score.falseMissing} calls are wrongly said to be missing`);
  if (score.ambiguous.share < leastAmbiguous) {
    shortfalls.push(`only ${(score.ambiguous.share * 100).toFixed(1)} % of the calls are ambiguous`);
  }
  return shortfalls;
}

function confusionLines(confusion: Score["confusion"]): string[] {
  const names = [...new Set([...confusion].flatMap(([truth, row]) => [truth, ...row.keys()]))].sort();
  const letter = (index: number) => (names[index] === NOTHING ? "-" : String.fromCharCode(97 + index));
  const header = ["", ...names.map((_, index) => letter(index))];
  const rows = names.map((truth, index) => [
    `${letter(index)} ${truth}`,
    ...names.map((found) => String(confusion.get(truth)?.get(found) ?? ".")),
  ]);
  return table([header, ...rows]);
}

function accuracyLines(title: string, accuracies: ReadonlyMap<string, Accuracy>): string[] {
  const rows = [...accuracies].map(([name, { right, wronglyFound, overlooked, precision, recall }]) => [
    name,
    ...[right + overlooked, right, wronglyFound, overlooked].map(String),
    precision.toFixed(4),
    recall.toFixed(4),
  ]);
  return table([[title, "planted", "right", "wrong", "overlooked", "precision", "recall"], ...rows]);
}

/** The first column is aligned left, the others right. */
function table(rows: readonly string[][]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}
