import { form, type RecordProblem, range, requiredText, text, within } from "./field-checks.ts";

export interface InterconnectDialog {
  callId: string;
  fromTag?: string | undefined;
  toTag?: string | undefined;
}

export interface Correlation {
  interconnectDialog?: InterconnectDialog | undefined;
  correlationId?: string | undefined;
  sessionId?: string | undefined;
  icid?: string | undefined;
  legIndex?: number | undefined;
}

/** Checks id and revision; the day has rules of its own. */
export function checkIdentity(record: {
  recordId: string;
  recordDate: string;
  revision?: number | undefined;
}): RecordProblem | undefined {
  return (
    requiredText("record_id", record.recordId, MAX_ID) ??
    form("record_id", record.recordId, VISIBLE_ASCII, "printable ASCII characters without spaces") ??
    requiredText("record_date", record.recordDate, DAY_CHARACTERS) ??
    range("revision", record.revision, 1, MAX_REVISION)
  );
}

export function checkCorrelation(correlation: Correlation | undefined): RecordProblem | undefined {
  if (correlation === undefined) return undefined;
  return (
    within("interconnect_dialog", checkDialog(correlation.interconnectDialog)) ??
    text("correlation_id", correlation.correlationId, MAX_ID) ??
    form(
      "session_id",
      correlation.sessionId,
      SESSION_ID,
      "one or two ids of 32 lower-case hex digits, joined by a semicolon",
    ) ??
    text("icid", correlation.icid, MAX_SIGNALLED) ??
    range("leg_index", correlation.legIndex, 0, 999)
  );
}

export function checkCodes(outcome: {
  finalSipCode?: number | undefined;
  q850Cause?: number | undefined;
}): RecordProblem | undefined {
  return range("final_sip_code", outcome.finalSipCode, 200, 699) ?? range("q850_cause", outcome.q850Cause, 1, 127);
}

export const MAX_ID = 128;
/** RFC 3261 has no limit; this is what an index takes, in any characters. */
export const MAX_CALL_ID = 512;
/** For tags (RFC 3261) and ICIDs (RFC 7315), which have no limit either. */
const MAX_SIGNALLED = 256;

const MAX_REVISION = 1_000_000;
const DAY_CHARACTERS = 10;
const VISIBLE_ASCII = /^[\x21-\x7e]+$/;
/** RFC 7989 section 5, as in records and as on the wire. */
const SESSION_ID = /^"?[0-9a-f]{32}(?:; ?(?:remote=)?[0-9a-f]{32})?"?$/;

function checkDialog(dialog: InterconnectDialog | undefined): RecordProblem | undefined {
  if (dialog === undefined) return undefined;
  return (
    requiredText("call_id", dialog.callId, MAX_CALL_ID) ??
    text("from_tag", dialog.fromTag, MAX_SIGNALLED) ??
    text("to_tag", dialog.toTag, MAX_SIGNALLED)
  );
}
