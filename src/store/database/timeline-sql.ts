/**
 * Which timeline of its write-ahead log the server writes; NULL on a standby, which writes none.
 * The name of the present log file begins with it, and is right from a promotion on.
 * pg_control_checkpoint() tells the old timeline until the next checkpoint is done.
 */
export const TIMELINE_SQL =
  "CASE WHEN pg_is_in_recovery() THEN NULL ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int8 END";
