/** A limit that is a setting: its default, the range that is allowed, and what help says of it. */
type SettableLimit = ReturnType<typeof range> & { readonly text: string };

/**
 * The limits that a process can set, with the contract's defaults. `Opened` and GetAgreement tell
 * clients of them.
 */
const SETTABLE_LIMITS = {
  /** A peer that was silent for three intervals is dead. */
  heartbeatIntervalMs: { ...range(15_000, 10, 60_000), text: "Interval between heartbeats on an idle stream, ms" },
  maxStreamAgeMs: { ...range(1_800_000, 100, 86_400_000), text: "Longest life of a stream, ms, give or take 20 %" },
  /** Then the stream ends with SLOW_CONSUMER. */
  maxStallMs: { ...range(60_000, 50, 3_600_000), text: "How long a client may leave a message of a feed unread, ms" },
  maxFeedStreams: { ...range(8, 1, 10_000), text: "Most feed streams at once for each carrier and method" },
  maxUploadStreams: { ...range(8, 1, 10_000), text: "Most upload streams at once for each carrier and method" },
  /** Received or sent, before and after decompression. */
  maxMessageBytes: { ...range(4_194_304, 65_536, 67_108_864), text: "Largest message, bytes" },
  /** Beyond it no upload is given new credit. */
  uploadBudgetBytes: {
    ...range(268_435_456, 1_048_576, 2 ** 40),
    text: "Most bytes of records received but not yet committed, over all uploads",
  },
  /** At most 2,000, so that streams end within 5 s. */
  accessCacheMs: { ...range(2_000, 0, 2_000), text: "How long a carrier's state may be cached, ms" },
  maxCallsPerSecond: { ...range(2_000, 1, 1_000_000), text: "Calls per second from one principal (burst: 10 times)" },
  maxBytesPerSecond: {
    ...range(134_217_728, 1_024, 2 ** 40),
    text: "Bytes per second to and from one principal (burst: 4 times)",
  },
  maxLiveCalls: { ...range(1_000, 1, 1_000_000), text: "Most calls of one principal at once, streams included" },
  /** Credentials that are not genuine. */
  maxAuthFailuresPerSecond: {
    ...range(10, 0, 1_000_000),
    text: "Failed logins per second from one address (burst: 100 times); 0 = unlimited",
  },
  maxRefusalsPerSecond: {
    ...range(10, 0, 1_000_000),
    text: "Denied or expired calls per second for one credential and method (burst: 10 times); 0 = unlimited",
  },
  maxOpenUploads: { ...range(10_000, 1, 1_000_000), text: "Most open uploads of one carrier, for each kind" },
  maxNumbers: { ...range(10_000_000, 1, 1_000_000_000), text: "Most numbers that a carrier may hold" },
  /** NUMBER_UNAVAILABLE answers. */
  maxUnavailablePerHour: {
    ...range(1_000, 1, 1_000_000),
    text: "Numbers that a carrier may learn to be another's, per hour (burst: the same)",
  },
  requestMs: { ...range(120_000, 50, 3_600_000), text: "How long a request of one message may take to arrive, ms" },
  /** Then the call is reset. Feeds have `maxStallMs` besides. */
  answerMs: { ...range(120_000, 50, 3_600_000), text: "How long a client may take to accept what was sent to it, ms" },
  maxConnections: { ...range(10_000, 1, 1_000_000), text: "Most connections at once" },
  /** Of IPv6, an address is a /64 network. */
  maxConnectionsPerAddress: {
    ...range(1_000, 1, 1_000_000),
    text: "Most connections at once from one address; raise it behind a proxy",
  },
  /** Entries and messages count as well. */
  maxRequestElements: {
    ...range(4_096, 64, 10_000_000),
    text: "Most fields, items and values in a request; a batch may have more, for its records",
  },
  /** Over every judged call of the process. */
  receivedBudgetBytes: {
    ...range(134_217_728, 1_048_576, 2 ** 40),
    text: "Most bytes of incomplete messages; one caller may use half. Callers not yet authenticated have a smaller part of their own",
  },
  /** Over every call of the process. */
  decodedBudgetBytes: {
    ...range(201_326_592, 1_048_576, 2 ** 40),
    text: "Most memory for messages being decoded and worked on, bytes; one caller may use half",
  },
  maxAnonymousPerSecond: {
    ...range(200, 0, 1_000_000),
    text: "Messages per second from one address to health and reflection (burst: 10 times); 0 = unlimited",
  },
  anonymousRequestMs: {
    ...range(5_000, 50, 3_600_000),
    text: "How long a message to health or reflection may take to arrive, ms",
  },
  /** Open streams do not count. */
  maxAnonymousCallsPerAddress: {
    ...range(100, 1, 1_000_000),
    text: "Most calls to health at once from one address; raise it behind a proxy",
  },
  maxAnonymousStreams: { ...range(5_000, 1, 1_000_000), text: "Most streams of health and reflection at once" },
  maxAnonymousStreamsPerAddress: {
    ...range(200, 1, 1_000_000),
    text: "Most streams of health and reflection at once from one address; raise it behind a proxy",
  },
  /** Then their connections are destroyed. */
  drainMs: { ...range(20_000, 0, 600_000), text: "How long a shutdown waits for calls in flight, ms" },
};

const FIXED_LIMITS = {
  /** Most records in a batch or an AppendDurations call. */
  maxBatchRecords: 2_000,
  /** Largest page of a list. */
  maxPageSize: 1_000,
  /** Longest period that one list or summary may cover, days. */
  maxListWindowDays: 92,
  /**
   * How far past the committed offset an upload may send at first, records. It grows to three times
   * as far with commits.
   */
  uploadWindowRecords: 4_000,
  /** How many rejects of one upload are kept in detail. */
  maxStoredRejects: 10_000,
};

/** What a process allows and enforces. */
export type Limits = { readonly [Name in SettableName | keyof typeof FIXED_LIMITS]: number };

/** Most numbers in one call of a method that takes many. */
export const MAX_NUMBER_ITEMS = 1_000;

/** The contract's limits. */
export const DEFAULT_LIMITS: Limits = { ...FIXED_LIMITS, ...settableLimits(({ value }) => value) };

/** Makes something of each settable limit. */
export function settableLimits<T>(make: (limit: SettableLimit, name: SettableName) => T): Record<SettableName, T> {
  const names = Object.keys(SETTABLE_LIMITS) as SettableName[];
  const made = names.map((name) => [name, make(SETTABLE_LIMITS[name], name)]);
  return Object.fromEntries(made) as Record<SettableName, T>;
}

type SettableName = keyof typeof SETTABLE_LIMITS;

function range(value: number, min: number, max: number) {
  return { value, min, max };
}
