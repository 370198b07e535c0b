/** Most items that a command asks for in one page. */
const PAGE_SIZE = 1_000;

/** A page of a list, as its response holds it. */
export interface AnsweredPage<Item> {
  readonly items: readonly Item[];
  readonly nextPageToken: string;
}

/** Reads a list page by page, up to a limit. `isCut`: there is more. */
export async function readPages<Item>(
  limit: number,
  readPage: (page: { pageSize: number; pageToken: string }) => Promise<AnsweredPage<Item>>,
): Promise<{ items: Item[]; isCut: boolean }> {
  const items: Item[] = [];
  let pageToken = "";
  do {
    const page = await readPage({ pageSize: Math.min(PAGE_SIZE, limit - items.length), pageToken });
    items.push(...page.items);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && items.length < limit);
  return { items, isCut: pageToken !== "" };
}
