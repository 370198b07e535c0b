import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { invalidArgument } from "../../domain/errors.ts";
import type { Limits } from "../../domain/limits.ts";
import type { Services } from "./context.ts";
import { cutPage } from "./cut-page.ts";
import { decodePageToken, encodePageToken, type PageTokenValue } from "./page-token.ts";

const DEFAULT_PAGE_SIZE = 100;

/** What the request of every list has. */
interface AskedPage {
  readonly pageSize: number;
  readonly pageToken: string;
}

/** A page of a list that is being answered. */
export class ListPage {
  /** Most items of it: 100 when the request names none, the limit when it names more (AIP-158). */
  readonly size: number;
  /** Where the page before it ended; undefined: it is the first. */
  readonly after: PageTokenValue | undefined;
  readonly #services: Pick<Services, "seals" | "config">;
  readonly #context: Pick<HandlerContext, "requestHeader">;
  readonly #scope: readonly string[];

  private constructor(
    services: Pick<Services, "seals" | "config">,
    context: Pick<HandlerContext, "requestHeader">,
    of: { size: number; after: PageTokenValue | undefined; scope: readonly string[] },
  ) {
    this.#services = services;
    this.#context = context;
    this.size = of.size;
    this.after = of.after;
    this.#scope = of.scope;
  }

  /**
   * Reads which page is asked for. Not to be called inside a transaction.
   * @param scope what the page tokens are good for: the method, the carrier, the filter.
   * @throws TandemError INVALID_ARGUMENT, PAGE_TOKEN_INVALID.
   */
  static async open(
    services: Pick<Services, "seals" | "config">,
    context: Pick<HandlerContext, "requestHeader">,
    request: AskedPage,
    scope: readonly string[],
  ): Promise<ListPage> {
    const size = pageSize(request.pageSize, services.config.limits);
    const after = await decodePageToken(services.seals, scope, request.pageToken);
    return new ListPage(services, context, { size, after, scope });
  }

  /** How many items to look for: one more than the page has tells that there is another page. */
  get limit(): number {
    return this.size + 1;
  }

  /**
   * Cuts the page of what was found: see `cutPage`.
   * @param size most items, where that is less than the page's.
   */
  cut<Found, Desc extends DescMessage>(
    found: readonly Found[],
    schema: Desc,
    show: (found: Found) => MessageInitShape<Desc>,
    size = this.size,
  ) {
    return cutPage(found, { size, schema, show, context: this.#context, limits: this.#services.config.limits });
  }

  /** The token of the page that begins after this place; empty where there is none. */
  tokenAfter(place: PageTokenValue | undefined): string {
    return place ? encodePageToken(this.#services.seals, this.#scope, place) : "";
  }
}

function pageSize(asked: number, limits: Limits): number {
  if (asked < 0) throw invalidArgument("page_size", "expected 0 (the default, 100) or more");
  return asked === 0 ? DEFAULT_PAGE_SIZE : Math.min(asked, limits.maxPageSize);
}
