/** Whether a carrier reported; the numbers of tandem.type.v1.ReportingState. */
export const ReportingState = { UNSPECIFIED: 0, REPORTED: 1, PARTLY_REPORTED: 2, SILENT: 3, OUT_OF_SCOPE: 4 } as const;
export type ReportingState = (typeof ReportingState)[keyof typeof ReportingState];

/** The judged calls of one day and direction: all but those that are pending. */
export interface ReportedCell {
  /** Calls that the carrier had to report. */
  readonly expected: bigint;
  /** Of any, those that it has a record of. */
  readonly reported: bigint;
  /** Answered calls outside its reporting scope. An unanswered one alone says nothing of a direction: most carriers report answered calls only. */
  readonly outside: bigint;
}

/**
 * Whether a carrier reported the calls asked for, by their days and directions: REPORTED or SILENT when that is so of all of them, OUT_OF_SCOPE when none
 * had to be reported, PARTLY_REPORTED when they differ, and unspecified when no call is judged.
 */
export function reportingStateOf(cells: Iterable<ReportedCell>): ReportingState {
  let state: ReportingState = ReportingState.UNSPECIFIED;
  for (const cell of cells) state = combineStates(state, stateOfCell(cell));
  return state;
}

/** The state of two stretches together. */
export function combineStates(a: ReportingState, b: ReportingState): ReportingState {
  if (a === ReportingState.UNSPECIFIED) return b;
  if (b === ReportingState.UNSPECIFIED || a === b) return a;
  return ReportingState.PARTLY_REPORTED;
}

function stateOfCell({ expected, reported, outside }: ReportedCell): ReportingState {
  if (reported > 0n && outside === 0n) return ReportingState.REPORTED;
  if (expected > 0n) return outside > 0n && reported > 0n ? ReportingState.PARTLY_REPORTED : ReportingState.SILENT;
  if (outside > 0n) return ReportingState.OUT_OF_SCOPE;
  return ReportingState.UNSPECIFIED;
}
