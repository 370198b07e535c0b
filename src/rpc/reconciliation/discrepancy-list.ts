import type { HandlerContext } from "@connectrpc/connect";
import { discrepancyMessage } from "../../feed/discrepancy-feed.ts";
import {
  type Discrepancy,
  type DiscrepancyFilter,
  DiscrepancySchema,
} from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { carrierTransaction, LIST_PAGE } from "../../store/database/database.ts";
import type { Scanned } from "../../store/database/list-scan.ts";
import type { Tx } from "../../store/database/run.ts";
import {
  type DiscrepancyConditions,
  type ListedDiscrepancy,
  listDiscrepancies,
} from "../../store/reconciliation/discrepancies.ts";
import { carriersAsked } from "../shared/carriers-asked.ts";
import type { Services } from "../shared/context.ts";
import { ListPage } from "../shared/list-page.ts";
import { attributeForReader } from "../shared/masking/reader-mask.ts";
import { optionalDates } from "./fields.ts";
import { readDiscrepancyFilter } from "./filter.ts";

/** What both sides' requests have in common. */
export interface ListRequest {
  readonly filter?: DiscrepancyFilter | undefined;
  readonly startDate?: string | undefined;
  readonly endDate?: string | undefined;
  readonly pageSize: number;
  readonly pageToken: string;
}

/** Who reads a list of discrepancies, and what they see of them. */
export interface DiscrepancyReader {
  /** With which the page tokens are good. */
  readonly method: string;
  /** Empty: every carrier. */
  readonly carrierId: string;
  /** Whose call it is. */
  readonly context: HandlerContext;
  /** Makes the message of one. */
  readonly show: (listed: ListedDiscrepancy) => Discrepancy;
  /** Commits that these may be received. */
  readonly disclose: (discrepancies: readonly Discrepancy[]) => Promise<void>;
}

interface Search {
  readonly startDate: string;
  readonly endDate: string;
  readonly conditions: DiscrepancyConditions | undefined;
}

/**
 * Answers ListDiscrepancies.
 * @param reader who reads, and what they see.
 */
export async function listedDiscrepancies(
  services: Services,
  request: ListRequest,
  { method, carrierId, context, show, disclose }: DiscrepancyReader,
) {
  const { limits } = services.config;
  const { conditions, hash } = readDiscrepancyFilter(request.filter);
  const search: Search = { ...optionalDates(request, limits.maxListWindowDays), conditions };
  // The days as they were asked for: a token outlives the midnight that moves the default ones.
  const scope = [method, carrierId, String(hash), JSON.stringify([request.startDate, request.endDate])];
  const page = await ListPage.open(services, context, request, scope);
  const { found, scannedTo } = await findPage(services, carrierId, search, page.after, page.limit);
  const { messages: discrepancies, last } = await page.cut(found, DiscrepancySchema, show);
  await disclose(discrepancies);
  const next = last ?? scannedTo;
  return {
    discrepancies,
    nextPageToken: page.tokenAfter(next && { carrier: next.carrierId, sequence: String(next.sequence) }),
  };
}

async function findPage(
  services: Services,
  carrierId: string,
  search: Search,
  token: Readonly<Record<string, string>> | undefined,
  limit: number,
): Promise<Scanned<ListedDiscrepancy, Pick<ListedDiscrepancy, "carrierId" | "sequence">>> {
  const found: ListedDiscrepancy[] = [];
  for await (const carrier of carriersAsked(services, carrierId, token?.["carrier"] ?? "")) {
    const id = carrier.carrierId;
    const after = id === token?.["carrier"] ? BigInt(token["sequence"] ?? 0) : 0n;
    const page = { after, limit: limit - found.length };
    const read = (tx: Tx) => listDiscrepancies(tx, id, search, page);
    const scan = await carrierTransaction(services.db, id, read, LIST_PAGE);
    found.push(...scan.found);
    if (scan.scannedTo !== undefined) return { found, scannedTo: { carrierId: id, sequence: scan.scannedTo } };
    if (found.length >= limit) break;
  }
  return { found, scannedTo: undefined };
}

/** A discrepancy as it is; with whose it is, for the credential that may not see parties. */
export function shownDiscrepancy(listed: ListedDiscrepancy): Discrepancy {
  return attributeForReader(discrepancyMessage(listed), listed.phoneNumber);
}
