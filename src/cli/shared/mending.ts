/**
 * The command that mends what a server's reason names, or shows what it is about; undefined: the
 * message says what to do.
 */
export function mendingCommand(reason: string, metadata: Readonly<Record<string, string>>): string | undefined {
  const carrier = metadata["carrier_id"] || "<id>";
  return MENDING[reason]?.replace("<carrier>", carrier);
}

const MENDING: Readonly<Record<string, string>> = {
  UNAUTHENTICATED: "tandem token --help",
  CREDENTIAL_EXPIRED: "tandem token --help",
  PERMISSION_DENIED: "tandem token --help",
  CARRIER_SUSPENDED: "tandem carriers activate <carrier>",
  CARRIER_NOT_FOUND: "tandem carriers list",
  CARRIER_ALREADY_EXISTS: "tandem carriers get <carrier>",
  REVISION_MISMATCH: "tandem carriers get <carrier>",
  NUMBER_NOT_FOUND: "tandem numbers list",
  NUMBER_UNAVAILABLE: "tandem numbers history <number>",
  NUMBER_STATE_CONFLICT: "tandem numbers get <number>",
  NUMBER_OUT_OF_RANGE: "tandem carriers ranges show <carrier>",
  RANGE_TAKEN: "tandem carriers list",
  CURSOR_EXPIRED: "tandem cdrs feed",
  CURSOR_AHEAD_OF_HEAD: "tandem cdrs feed",
  FEED_EPOCH_CHANGED: "tandem cdrs feed",
  CONSUMER_NOT_FOUND: "tandem cdrs consumers",
  CONSUMER_CURSOR_CONFLICT: "tandem cdrs consumers",
  RECORD_NOT_FOUND: "tandem cdrs list",
  UPLOAD_NOT_FOUND: "tandem durations uploads",
  HOLD_NOT_FOUND: "tandem privacy hold list",
  ERASURE_NOT_FOUND: "tandem privacy audit list",
  PERIOD_NOT_FOUND: "tandem usage restatements <customer>",
  PERIOD_ALREADY_CLOSED: "tandem usage restatements <customer>",
  RETENTION_OUT_OF_BOUNDS: "tandem privacy retention list",
  STORE_UNAVAILABLE: "tandem doctor",
  INTERNAL: "tandem doctor",
};

/** Every command that is named, for the test that holds them to those that there are. */
export const MENDING_COMMANDS: readonly string[] = Object.values(MENDING);
