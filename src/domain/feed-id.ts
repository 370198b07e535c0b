/** The feeds of a carrier, as the store numbers them. */
export const FeedId = { NUMBERS: 1, CDRS: 2, DISCREPANCIES: 3, DURATIONS: 4 } as const;
export type FeedId = (typeof FeedId)[keyof typeof FeedId];
export const ALL_FEEDS: readonly FeedId[] = Object.values(FeedId);

/** What operators see of a feed, in metrics and traces. */
export const FEED_NAMES: Readonly<Record<FeedId, string>> = {
  [FeedId.NUMBERS]: "numbers",
  [FeedId.CDRS]: "cdrs",
  [FeedId.DISCREPANCIES]: "discrepancies",
  [FeedId.DURATIONS]: "durations",
};
