import type { HandlerContext } from "@connectrpc/connect";
import { discrepancyMessage } from "../../feed/discrepancy-feed.ts";
import type { ListDiscrepanciesRequest as OfCarrier } from "../../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import type { ListDiscrepanciesRequest as OfAll } from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { type Discrepancy, DiscrepancySchema } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { carrierTransaction, LIST_PAGE } from "../../store/database/database.ts";
import type { Scanned } from "../../store/database/list-scan.ts";
import type { Tx } from "../../store/database/run.ts";
import { type ListedDiscrepancy, listDiscrepancies } from "../../store/reconciliation/discrepancies.ts";
import { carriersAsked } from "../shared/carriers-asked.ts";
import type { Services } from "../shared/context.ts";
import { discloseRecords } from "../shared/disclosure/disclose.ts";
import { disclosedDiscrepancies } from "../shared/disclosure/disclosed-records.ts";
import { ListPage } from "../shared/list-page.ts";
import { seesMaskedParties } from "../shared/masking/mask-interceptor.ts";
import { attributeForReader } from "../shared/masking/reader-mask.ts";
import { askedCarrier, optionalDates } from "./fields.ts";
import { readDiscrepancyFilter } from "./filter.ts";

type Search = Parameters<typeof listDiscrepancies>[2];

/** Answers ListDiscrepancies to a carrier, or to the platform. */
export async function listedDiscrepancies(services: Services, request: OfAll | OfCarrier, context: HandlerContext) {
  const { carrierId, scopeOf } = askedCarrier(request, context);
  const { conditions, hash } = readDiscrepancyFilter(request.filter);
  const search = { ...optionalDates(request, services.config.limits.maxListWindowDays), conditions };
  // The days as the request names them: default days change at midnight, tokens do not.
  const days = JSON.stringify([request.startDate, request.endDate]);
  const scope = [scopeOf("ListDiscrepancies"), carrierId, String(hash), days];
  const page = await ListPage.open(services, context, request, scope);
  const { found, scannedTo } = await findPage(services, carrierId, search, page.after, page.limit);
  const { messages: discrepancies, last } = await page.cut(found, DiscrepancySchema, shownDiscrepancy);
  const disclosed = disclosedDiscrepancies(discrepancies);
  await discloseRecords(services, context, { request, masked: seesMaskedParties(context), disclosed });
  const next = last ?? scannedTo;
  const place = next && { carrier: next.carrierId, sequence: String(next.sequence) };
  return { discrepancies, nextPageToken: page.tokenAfter(place) };
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
function shownDiscrepancy(listed: ListedDiscrepancy): Discrepancy {
  return attributeForReader(discrepancyMessage(listed), listed.phoneNumber);
}
