import type { FeedPoint, StoredPage } from "../store/feeds/feed-page.ts";

/**
 * Most pages that are kept. A page is at most about 2 MiB, so this bounds what all streams of a
 * process hold together.
 */
const MAX_PAGES = 32;

/** What a page was read for: streams that ask for the same get the same. */
export interface PageKey {
  carrierId: string;
  feed: number;
  /** What is in an entry, such as with or without network identifiers. */
  variant: string;
  after: FeedPoint;
}

/**
 * The newest pages of live feeds, read once and shared by the streams of a carrier that follow the
 * same feed. A page never changes, but for an erasure, which raises the feed's payload generation,
 * and a restore, which changes its epoch: a page of another generation or epoch is not given out.
 */
export class SharedPages<Entry> {
  readonly #pages = new Map<string, Promise<StoredPage<Entry>>>();

  /** How many pages are kept. */
  get size(): number {
    return this.#pages.size;
  }

  /**
   * The page for a key, from memory if it is of this generation and epoch, else by `load`, which
   * streams that ask meanwhile wait for too.
   */
  async read(
    key: PageKey,
    now: { payloadGeneration: bigint; epoch: bigint },
    load: () => Promise<StoredPage<Entry>>,
  ): Promise<StoredPage<Entry>> {
    const name = `${key.feed}:${key.carrierId}:${key.variant}:${key.after.sequence}:${key.after.ingestTime}`;
    const kept = this.#pages.get(name);
    if (kept !== undefined) {
      const page = await kept.catch(() => undefined);
      const { payloadGeneration, epoch } = page?.head ?? {};
      const isCurrent = payloadGeneration === now.payloadGeneration && epoch === now.epoch;
      if (page && isCurrent && page.throughSequence > key.after.sequence) return page;
      if (this.#pages.get(name) === kept) this.#pages.delete(name);
    }
    const loading = load();
    this.#pages.set(name, loading);
    if (this.#pages.size > MAX_PAGES) this.#pages.delete(this.#pages.keys().next().value ?? name);
    // Nothing that failed, and no page without an entry, is kept: the next who asks reads again.
    const drop = () => void (this.#pages.get(name) === loading && this.#pages.delete(name));
    loading.then((page) => page.throughSequence > key.after.sequence || drop(), drop);
    return loading;
  }
}
