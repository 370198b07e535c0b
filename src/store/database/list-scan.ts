/** Most rows that a page of a list looks at, when most of them are not what is asked for. */
export const LIST_SCAN = 20_000;

/** What a page of a list found, and how far it looked. */
export interface Scanned<Found, Place> {
  readonly found: Found[];
  /**
   * Where the next page goes on, though this one is not full: it has looked at as many rows as it
   * may. Undefined when it is full, or there is no more.
   */
  readonly scannedTo: Place | undefined;
}
