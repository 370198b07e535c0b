/**
 * What this process allows and enforces; advertised in every `Opened` and in GetAgreement.
 * config.ts reads them, with the contract's defaults.
 */
export interface Limits {
  /**
   * How often a live stream says so, milliseconds. Default 15,000. A peer that was silent for three
   * of them is dead.
   */
  readonly heartbeatIntervalMs: number;
  /**
   * How long a stream may live before MAX_AGE, milliseconds, plus or minus 20 %. Default 1,800,000
   * (30 minutes).
   */
  readonly maxStreamAgeMs: number;
  /** How long a feed stream may stall before SLOW_CONSUMER, milliseconds. Default 60,000. */
  readonly maxStallMs: number;
  /** Most feed streams at once, for each carrier and method. Default 8. */
  readonly maxFeedStreams: number;
  /** Most upload streams at once, for each carrier and method. Default 8. */
  readonly maxUploadStreams: number;
  /** Largest message received or sent, bytes, before and after decompression. Default 4,194,304. */
  readonly maxMessageBytes: number;
  /** Most records in a batch or an AppendDurations call. Default 2,000. */
  readonly maxBatchRecords: number;
  /** Largest page of a list. Default 1,000. */
  readonly maxPageSize: number;
  /** Longest period that one list or summary may cover, days. Default 92. */
  readonly maxListWindowDays: number;
  /**
   * How far past the committed offset an upload may send at first, records. Default 4,000; it grows
   * to three times as far as records are committed.
   */
  readonly uploadWindowRecords: number;
  /** How many rejects of one upload are kept in detail. Default 10,000. */
  readonly maxStoredRejects: number;
  /**
   * Received and not yet committed, over every upload of the process, bytes; beyond it no new
   * credit is given. Default 256 MiB.
   */
  readonly uploadBudgetBytes: number;
  /**
   * How long a look-up of who may act as a carrier is believed, milliseconds. Default 2,000; at
   * most 2,000, so that streams end within 5 s.
   */
  readonly accessCacheMs: number;
  /** Calls a second of one principal, on average; ten times as many at once. Default 2,000. */
  readonly maxCallsPerSecond: number;
  /**
   * Bytes a second of one principal, in and out, on average; four times as many at once. Default
   * 128 MiB.
   */
  readonly maxBytesPerSecond: number;
  /** Calls of one principal that may live at once, streams among them. Default 1,000. */
  readonly maxLiveCalls: number;
  /**
   * Credentials that are not genuine, a second and address, on average; a hundred times as many at
   * once. 0: no limit. Default 10.
   */
  readonly maxAuthFailuresPerSecond: number;
  /**
   * Calls that are refused for their credential, a second, of one credential and method; ten times
   * as many at once. 0: no limit. Default 10.
   */
  readonly maxRefusalsPerSecond: number;
  /** Uploads of one carrier and kind that may be open. Default 10,000. */
  readonly maxOpenUploads: number;
  /** Numbers that a carrier may hold. Default 10,000,000. */
  readonly maxNumbers: number;
  /**
   * NUMBER_UNAVAILABLE answers that a carrier may have at once, and so many more each hour. Default
   * 1,000.
   */
  readonly maxUnavailablePerHour: number;
  /** How long a request that is one message may take to arrive, milliseconds. Default 120,000. */
  readonly requestMs: number;
  /**
   * How long a client may leave what was sent untaken before the call is reset, milliseconds.
   * Default 120,000. Feeds have `maxStallMs` besides.
   */
  readonly answerMs: number;
  /** Most connections at once. Default 10,000. */
  readonly maxConnections: number;
  /** Most connections at once from one address (of IPv6, one /64 network). Default 1,000. */
  readonly maxConnectionsPerAddress: number;
  /**
   * Most fields, items, entries and messages of a request; of JSON, values. A batch may have as
   * many more as its records can need. Default 4,096.
   */
  readonly maxRequestElements: number;
  /**
   * Received of messages that are not whole, over every judged call of the process, bytes; a half
   * of it for one caller. Others have parts besides. Default 128 MiB.
   */
  readonly receivedBudgetBytes: number;
  /**
   * What messages cost while they are decoded and worked on, over every call of the process, bytes;
   * a half of it for one caller. Default 192 MiB.
   */
  readonly decodedBudgetBytes: number;
  /**
   * Messages a second of one address to what anyone may call, on average; ten times as many at
   * once. 0: no limit. Default 200.
   */
  readonly maxAnonymousPerSecond: number;
  /** How long a message to what anyone may call may take to arrive, milliseconds. Default 5,000. */
  readonly anonymousRequestMs: number;
  /**
   * Most calls at once of one address to what anyone may call, streams that are open not among
   * them. Default 100.
   */
  readonly maxAnonymousCallsPerAddress: number;
  /** Most streams at once that anyone may open: Watch and reflection. Default 5,000. */
  readonly maxAnonymousStreams: number;
  /** Most of them at once from one address. Default 200. */
  readonly maxAnonymousStreamsPerAddress: number;
  /**
   * How long a drain waits for calls in flight before connections are destroyed, milliseconds.
   * Default 20,000.
   */
  readonly drainMs: number;
}

/** Most numbers in one call of a method that takes many. */
export const MAX_NUMBER_ITEMS = 1_000;

/** The contract's limits. */
export const DEFAULT_LIMITS: Limits = {
  heartbeatIntervalMs: 15_000,
  maxStreamAgeMs: 1_800_000,
  maxStallMs: 60_000,
  maxFeedStreams: 8,
  maxUploadStreams: 8,
  maxMessageBytes: 4_194_304,
  maxBatchRecords: 2_000,
  maxPageSize: 1_000,
  maxListWindowDays: 92,
  uploadWindowRecords: 4_000,
  maxStoredRejects: 10_000,
  uploadBudgetBytes: 268_435_456,
  accessCacheMs: 2_000,
  maxCallsPerSecond: 2_000,
  maxBytesPerSecond: 134_217_728,
  maxLiveCalls: 1_000,
  maxAuthFailuresPerSecond: 10,
  maxRefusalsPerSecond: 10,
  maxOpenUploads: 10_000,
  maxNumbers: 10_000_000,
  maxUnavailablePerHour: 1_000,
  requestMs: 120_000,
  answerMs: 120_000,
  maxConnections: 10_000,
  maxConnectionsPerAddress: 1_000,
  maxRequestElements: 4_096,
  receivedBudgetBytes: 134_217_728,
  decodedBudgetBytes: 201_326_592,
  maxAnonymousPerSecond: 200,
  anonymousRequestMs: 5_000,
  maxAnonymousCallsPerAddress: 100,
  maxAnonymousStreams: 5_000,
  maxAnonymousStreamsPerAddress: 200,
  drainMs: 20_000,
};
