/** Most rows that a page of a list looks at, when most of them are not what is asked for. */
export const LIST_SCAN = 20_000;

/** What a page of a list found, and how far it looked. */
export interface Scanned<Found, Place> {
  readonly found: Found[];
  /** Where the next page goes on if this one looked at as many rows as it may, and is not full. */
  readonly scannedTo: Place | undefined;
}
