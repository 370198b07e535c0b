import { ReportingState } from "../../gen/tandem/type/v1/reconciliation_summary_pb.js";

/** The judged calls of one day and direction, without pending ones. */
export interface ReportedCell {
  /** Calls that the carrier had to report. */
  readonly expected: bigint;
  /** Calls, expected or not, that it has a record of. */
  readonly reported: bigint;
  /** Calls that it did not have to report. */
  readonly outside: bigint;
  /**
   * The answered ones of these. Unanswered ones say nothing: most carriers report answered calls
   * only.
   */
  readonly answeredOutside: bigint;
}

/**
 * Whether a carrier reported the calls, by days and directions: REPORTED or SILENT if all agree,
 * OUT_OF_SCOPE if none had to be reported, PARTLY_REPORTED if they differ, unspecified if no call
 * is judged.
 */
export function reportingStateOf(cells: readonly ReportedCell[]): ReportingState {
  const state = cells.map(stateOfCell).reduce(combineStates, ReportingState.UNSPECIFIED);
  if (state !== ReportingState.UNSPECIFIED) return state;
  return cells.some(({ outside }) => outside > 0n) ? ReportingState.OUT_OF_SCOPE : ReportingState.UNSPECIFIED;
}

/** The state of two stretches together. */
export function combineStates(a: ReportingState, b: ReportingState): ReportingState {
  if (a === ReportingState.UNSPECIFIED) return b;
  if (b === ReportingState.UNSPECIFIED || a === b) return a;
  return ReportingState.PARTLY_REPORTED;
}

function stateOfCell({ expected, reported, answeredOutside }: ReportedCell): ReportingState {
  if (expected === 0n && reported === 0n)
    return answeredOutside > 0n ? ReportingState.OUT_OF_SCOPE : ReportingState.UNSPECIFIED;
  if (answeredOutside > 0n) return ReportingState.PARTLY_REPORTED;
  return reported > 0n ? ReportingState.REPORTED : ReportingState.SILENT;
}
