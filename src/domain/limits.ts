/** A limit that an operator may set: its default, its range, and what it means, with its unit. */
interface LimitSetting {
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
  readonly meaning: string;
}

const MIB = 1_048_576;
const MOST_BYTES = 2 ** 40;

/**
 * Every limit that is a setting, said once: the environment's name, the help and the check come
 * from here (config.ts), and docs/operations.md is held against it by a test.
 */
export const LIMIT_SETTINGS = {
  /** A peer that was silent for three of them is dead. */
  heartbeatIntervalMs: limit(15_000, 10, 60_000, "Interval between heartbeats on an idle stream, ms"),
  maxStreamAgeMs: limit(1_800_000, 100, 86_400_000, "Longest life of a stream, ms, give or take 20 %"),
  /** Then the stream ends with SLOW_CONSUMER. */
  maxStallMs: limit(60_000, 50, 3_600_000, "How long a client may leave a message of a feed unread, ms"),
  maxFeedStreams: limit(8, 1, 10_000, "Most feed streams at once for each carrier and method"),
  maxUploadStreams: limit(8, 1, 10_000, "Most upload streams at once for each carrier and method"),
  /** Received or sent, before and after decompression. */
  maxMessageBytes: limit(4 * MIB, 65_536, 64 * MIB, "Largest message, bytes"),
  /** Beyond it no upload gets new credit. */
  uploadBudgetBytes: limit(
    256 * MIB,
    MIB,
    MOST_BYTES,
    "Most bytes of records received but not yet committed, over all uploads",
  ),
  /** At most 2,000, so that the streams of a suspended carrier end within 5 s. */
  accessCacheMs: limit(2_000, 0, 2_000, "How long a carrier's state may be cached, ms"),
  maxCallsPerSecond: limit(2_000, 1, 1_000_000, "Calls per second from one principal (burst: 10 times)"),
  maxBytesPerSecond: limit(128 * MIB, 1_024, MOST_BYTES, "Bytes per second to and from one principal (burst: 4 times)"),
  maxLiveCalls: limit(1_000, 1, 1_000_000, "Most calls of one principal at once, streams included"),
  maxAuthFailuresPerSecond: limit(
    10,
    0,
    1_000_000,
    "Failed logins per second from one address (burst: 100 times); 0 = unlimited",
  ),
  maxRefusalsPerSecond: limit(
    10,
    0,
    1_000_000,
    "Denied or expired calls per second for one credential and method (burst: 10 times); 0 = unlimited",
  ),
  maxOpenUploads: limit(10_000, 1, 1_000_000, "Most open uploads of one carrier, for each kind"),
  maxNumbers: limit(10_000_000, 1, 1_000_000_000, "Most numbers that a carrier may hold"),
  maxUnavailablePerHour: limit(
    1_000,
    1,
    1_000_000,
    "Numbers that a carrier may learn to be another's, per hour (burst: the same)",
  ),
  requestMs: limit(120_000, 50, 3_600_000, "How long a request of one message may take to arrive, ms"),
  /** Then the call is reset. Feeds have `maxStallMs` besides. */
  answerMs: limit(120_000, 50, 3_600_000, "How long a client may take to accept what was sent to it, ms"),
  maxConnections: limit(10_000, 1, 1_000_000, "Most connections at once"),
  /** An IPv6 address counts as its /64 network, here and below. */
  maxConnectionsPerAddress: limit(
    1_000,
    1,
    1_000_000,
    "Most connections at once from one address; raise it behind a proxy",
  ),
  /** Fields, items, entries and messages; of JSON, values. */
  maxRequestElements: limit(
    4_096,
    64,
    10_000_000,
    "Most fields, items and values in a request; a batch may have more, for its records",
  ),
  receivedBudgetBytes: limit(
    128 * MIB,
    MIB,
    MOST_BYTES,
    "Most bytes of incomplete messages; one caller may use half. Callers not yet authenticated have a smaller part of their own",
  ),
  decodedBudgetBytes: limit(
    192 * MIB,
    MIB,
    MOST_BYTES,
    "Most memory for messages being decoded and worked on, bytes; one caller may use half",
  ),
  maxAnonymousPerSecond: limit(
    200,
    0,
    1_000_000,
    "Messages per second from one address to health and reflection (burst: 10 times); 0 = unlimited",
  ),
  anonymousRequestMs: limit(5_000, 50, 3_600_000, "How long a message to health or reflection may take to arrive, ms"),
  /** Open streams are not among them. */
  maxAnonymousCallsPerAddress: limit(
    100,
    1,
    1_000_000,
    "Most calls to health at once from one address; raise it behind a proxy",
  ),
  maxAnonymousStreams: limit(5_000, 1, 1_000_000, "Most streams of health and reflection at once"),
  maxAnonymousStreamsPerAddress: limit(
    200,
    1,
    1_000_000,
    "Most streams of health and reflection at once from one address; raise it behind a proxy",
  ),
  /** Then connections are destroyed. */
  drainMs: limit(20_000, 0, 600_000, "How long a shutdown waits for calls in flight, ms"),
};

/** The contract's limits that nobody can set. */
const FIXED_LIMITS = {
  /** Most records in a batch or an AppendDurations call. */
  maxBatchRecords: 2_000,
  /** Largest page of a list. */
  maxPageSize: 1_000,
  /** Longest period that one list or summary may cover, days. */
  maxListWindowDays: 92,
  /**
   * How far past the committed offset an upload may send at first, records. It grows to three times
   * as far as records are committed.
   */
  uploadWindowRecords: 4_000,
  /** How many rejects of one upload are kept in detail. */
  maxStoredRejects: 10_000,
};

/** Most numbers in one call of a method that takes many. */
export const MAX_NUMBER_ITEMS = 1_000;

/** What this process allows and enforces; advertised in every `Opened` and in GetAgreement. */
export type Limits = Readonly<Record<keyof typeof LIMIT_SETTINGS | keyof typeof FIXED_LIMITS, number>>;

export const DEFAULT_LIMITS = {
  ...FIXED_LIMITS,
  ...Object.fromEntries(Object.entries(LIMIT_SETTINGS).map(([name, { fallback }]) => [name, fallback])),
} as Limits;

function limit(fallback: number, min: number, max: number, meaning: string): LimitSetting {
  return { fallback, min, max, meaning };
}
