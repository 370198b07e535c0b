import type { HandlerContext } from "@connectrpc/connect";
import { invalidArgument, TandemError } from "../../domain/errors.ts";
import { FeedId } from "../../domain/feed-id.ts";
import { timestampFromMicros } from "../../domain/time/instant.ts";
import { filterHash, isSamePosition, type OpenedCursor, openCursor } from "../../feed/cursor.ts";
import { checkCursor, type FeedPlace, type FeedStart, resolveStart } from "../../feed/position.ts";
import {
  CdrConsumerSchema,
  type CdrFilter,
  type CommitCdrCursorRequest,
  type ListCdrConsumersRequest,
} from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import { RecordPart } from "../../gen/tandem/type/v1/agreement_pb.js";
import { carrierTransaction } from "../../store/database/database.ts";
import {
  type Consumer,
  commitConsumer,
  listConsumers,
  MAX_CONSUMERS,
  readConsumer,
} from "../../store/feeds/consumers.ts";
import { readFeedHead } from "../../store/feeds/feed-head.ts";
import { carrierOf } from "../shared/access/caller.ts";
import { requireCarrier, type Services } from "../shared/context.ts";
import { ListPage } from "../shared/list-page.ts";
import { filterBytes } from "./filter.ts";

export async function consumerStart(services: Services, carrierId: string, consumer: string): Promise<FeedStart> {
  checkConsumerName(consumer);
  const found = await carrierTransaction(services.db, carrierId, (tx) => readConsumer(tx, carrierId, consumer));
  if (!found)
    throw new TandemError("CONSUMER_NOT_FOUND", `consumer ${consumer} has never committed a cursor`, { consumer });
  return { at: "cursor", cursor: found.cursor };
}

export async function getCdrFeed(services: Services, _: unknown, context: HandlerContext) {
  const { carrierId } = carrierOf(context);
  const place = cdrPlace(services, carrierId, undefined);
  const { position, head } = await resolveStart(place, { at: "latest" });
  const days = await services.retention.get(await requireCarrier(services, carrierId));
  return {
    feedEpoch: head.epoch,
    earliestSequence: head.earliestSequence,
    headSequence: head.headSequence,
    ...(position.ingestTime === 0n ? {} : { headIngestTime: timestampFromMicros(position.ingestTime) }),
    retentionDays: days[RecordPart.CALL],
  };
}

export async function commitCdrCursor(services: Services, request: CommitCdrCursorRequest, context: HandlerContext) {
  const { carrierId } = carrierOf(context);
  checkConsumerName(request.consumer);
  if (request.cursor === "")
    throw invalidArgument("cursor", "is required: the position up to which the consumer has applied the feed");
  // A consumer may read with any filter: its cursor carries which.
  const place = cdrPlace(services, carrierId, undefined);
  const opened = await openCursor(services.seals, place, request.cursor);
  const previous =
    request.previousCursor === undefined ? undefined : await openCursor(services.seals, place, request.previousCursor);
  const stored = await openStored(services, place, request.consumer);
  const consumer = await carrierTransaction(services.db, carrierId, async (tx) => {
    const head = await readFeedHead(tx, carrierId, FeedId.CDRS);
    const { sequence } = await checkCursor(tx, place, head, opened);
    const { consumer: name } = request;
    const cursor = storedText(stored, opened) ?? request.cursor;
    const previousCursor = (previous && storedText(stored, previous)) ?? request.previousCursor;
    const isStored = await commitConsumer(tx, carrierId, { consumer: name, cursor, sequence, previousCursor });
    const found = await readConsumer(tx, carrierId, name);
    if (isStored && found) return consumerMessage(found, head.headSequence);
    throw commitRefused(name, found);
  });
  return { consumer };
}

export interface StoredCursor {
  readonly text: string;
  readonly opened: OpenedCursor;
}

/** Where a consumer stands; undefined when it has committed nothing yet. */
export async function openStored(
  services: Services,
  place: FeedPlace,
  consumer: string,
): Promise<StoredCursor | undefined> {
  const { carrierId } = place;
  const found = await carrierTransaction(services.db, carrierId, (tx) => readConsumer(tx, carrierId, consumer));
  return found && { text: found.cursor, opened: await openCursor(services.seals, place, found.cursor) };
}

/**
 * The text that is stored, when it says the same position: cursors of one position have many texts,
 * and are compared by text where they are stored.
 */
export function storedText(stored: StoredCursor | undefined, opened: OpenedCursor): string | undefined {
  return stored && isSamePosition(stored.opened, opened) ? stored.text : undefined;
}

export function commitRefused(consumer: string, found: Consumer | undefined): TandemError {
  if (!found) {
    return new TandemError(
      "CONSUMER_CURSOR_CONFLICT",
      `consumer ${consumer} has committed nothing yet: leave out previous_cursor. A carrier has at most ${MAX_CONSUMERS} consumers`,
      { committed_sequence: "0" },
    );
  }
  const committed = String(found.committedSequence);
  return new TandemError(
    "CONSUMER_CURSOR_CONFLICT",
    `consumer ${consumer} is at sequence ${committed}, not at previous_cursor: another instance has committed`,
    { committed_sequence: committed },
  );
}

export async function listCdrConsumers(services: Services, request: ListCdrConsumersRequest, context: HandlerContext) {
  const { carrierId } = carrierOf(context);
  const page = await ListPage.open(services, context, request, ["ListCdrConsumers", carrierId]);
  const after = page.after?.["consumer"];
  const { found, head } = await carrierTransaction(services.db, carrierId, async (tx) => ({
    found: await listConsumers(tx, carrierId, after, page.limit),
    head: await readFeedHead(tx, carrierId, FeedId.CDRS),
  }));
  const show = (consumer: Consumer) => consumerMessage(consumer, head.headSequence);
  const { messages: consumers, last } = await page.cut(found, CdrConsumerSchema, show);
  return { consumers, nextPageToken: page.tokenAfter(last && { consumer: last.consumer }) };
}

export function consumerMessage(consumer: Consumer, headSequence: bigint) {
  const { oldestPendingTime, now, committedSequence } = consumer;
  return {
    consumer: consumer.consumer,
    cursor: consumer.cursor,
    committedSequence,
    lagEntries: headSequence > committedSequence ? headSequence - committedSequence : 0n,
    lagMs: oldestPendingTime === undefined || now < oldestPendingTime ? 0n : (now - oldestPendingTime) / 1000n,
    commitTime: timestampFromMicros(consumer.commitTime),
  };
}

export function cdrPlace(services: Services, carrierId: string, filter: CdrFilter | undefined): FeedPlace {
  const { db, seals } = services;
  return { db, seals, carrierId, feed: FeedId.CDRS, filter: filterHash(filterBytes(filter)) };
}

export function checkConsumerName(consumer: string): void {
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(consumer))
    throw invalidArgument("consumer", "expected 1 to 64 characters of [A-Za-z0-9._-]");
}
