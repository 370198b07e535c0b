/** One revision of one record, as a producer was told that it is safe and in the feed. */
export interface ProducedRecord {
  readonly recordId: string;
  readonly recordDate: string;
  readonly revision: number;
}

/** One run of a feed as a consumer applied it. */
export interface AppliedRun {
  readonly epoch: bigint;
  readonly afterSequence: bigint;
  readonly throughSequence: bigint;
  readonly entries: readonly (ProducedRecord & { readonly sequence: bigint })[];
}

/**
 * Compares what producers were told is safe with what one consumer applied, unfiltered and from the
 * feed's start. It asks the server nothing: the logs alone decide. Nothing was lost or doubled when
 * all four lists are empty.
 */
export function checkLogs(produced: readonly ProducedRecord[], applied: readonly AppliedRun[]) {
  const acknowledged = new Set(produced.map(keyOf));
  const timesApplied = countKeys(applied);
  return {
    /** Acknowledged and never applied. */
    lost: [...acknowledged].filter((key) => !timesApplied.has(key)),
    /** Applied more than once, under one sequence or several. */
    duplicated: [...timesApplied].filter(([, times]) => times > 1).map(([key]) => key),
    /** Applied and never acknowledged: of a producer killed before it heard, or made up. */
    unacknowledged: [...timesApplied.keys()].filter((key) => !acknowledged.has(key)),
    /** Where the sequence is not dense, or a run does not begin where the one before ended. */
    gaps: findGaps(applied),
    appliedCount: applied.reduce((sum, run) => sum + run.entries.length, 0),
  };
}

function countKeys(applied: readonly AppliedRun[]): Map<string, number> {
  const times = new Map<string, number>();
  for (const entry of applied.flatMap((run) => run.entries))
    times.set(keyOf(entry), (times.get(keyOf(entry)) ?? 0) + 1);
  return times;
}

function findGaps(applied: readonly AppliedRun[]): string[] {
  const gaps: string[] = [];
  let position: { epoch: bigint; sequence: bigint } | undefined;
  for (const { epoch, afterSequence, throughSequence, entries } of applied) {
    const run = `epoch ${epoch} (${afterSequence}, ${throughSequence}]`;
    if (position?.epoch === epoch && position.sequence !== afterSequence) {
      gaps.push(`${run} does not begin at ${position.sequence}, where the run before ended`);
    }
    let expected = afterSequence;
    for (const { sequence } of entries) {
      expected += 1n;
      if (sequence === expected) continue;
      gaps.push(`${run} holds ${sequence} where ${expected} is due`);
      expected = sequence;
    }
    if (expected !== throughSequence) gaps.push(`${run} ends with ${expected}`);
    position = { epoch, sequence: throughSequence };
  }
  return gaps;
}

function keyOf({ recordDate, recordId, revision }: ProducedRecord): string {
  return `${recordDate}/${recordId}#${revision}`;
}
