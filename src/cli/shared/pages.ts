/** Which page of a list is asked for, and its size. */
export interface PageRequest {
  readonly pageSize: number;
  readonly pageToken: string;
}

/**
 * Reads a list page after page, until it ends or has as many items as asked for.
 * @param read asks for one page.
 * @returns the items, and whether there are more.
 */
export async function readPages<Page extends { readonly nextPageToken: string }, Item>(
  read: (page: PageRequest) => Promise<Page>,
  itemsOf: (page: Page) => readonly Item[],
  limit: number = Number.POSITIVE_INFINITY,
): Promise<{ items: Item[]; isCut: boolean }> {
  const items: Item[] = [];
  let pageToken = "";
  do {
    const page = await read({ pageSize: Math.min(1_000, limit - items.length), pageToken });
    items.push(...itemsOf(page));
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && items.length < limit);
  return { items, isCut: pageToken !== "" };
}
