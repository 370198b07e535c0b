import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { invalidArgument } from "../../domain/errors.ts";
import { FeedId } from "../../domain/feed-id.ts";
import type { Limits } from "../../domain/limits.ts";
import { timestampFromMicros, utcDay } from "../../domain/time/instant.ts";
import { type FeedPlace, type FeedStart, openOwnCursor } from "../../feed/position.ts";
import { type FeedFrame, type FeedSource, type SnapshotFrame, streamFeed } from "../../feed/stream.ts";
import {
  NumberChangeSchema,
  type WatchNumbersRequest,
  WatchNumbersResponseSchema,
} from "../../gen/tandem/carrier/v1/number_service_pb.js";
import { RecordPart } from "../../gen/tandem/type/v1/agreement_pb.js";
import { ErasureEntrySchema } from "../../gen/tandem/type/v1/erasure_pb.js";
import type { PhoneNumber } from "../../gen/tandem/type/v1/phone_number_pb.js";
import { type NumberEntry, readNumberPage, readNumberSnapshotPage } from "../../store/numbers/number-feed.ts";
import { NumberEntryKind } from "../../store/numbers/number-rows.ts";
import { carrierOf } from "../shared/access/caller.ts";
import type { Services } from "../shared/context.ts";
import { feedDisclosure } from "../shared/disclosure/disclose-feed.ts";
import { feedEnd, feedStart, rangeOf, sharedFrame } from "../shared/feed-frames.ts";
import { decodePhoneNumber } from "../shared/messages/phone-number.ts";
import { openStreamLife } from "../shared/stream-life.ts";
import { readNumberFilter } from "./filter.ts";

const WATCH_METHOD = "tandem.carrier.v1.NumberService/WatchNumbers";
/** Most rows of one message. */
const PAGE_ROWS = 1_000;

/** Answers WatchNumbers: the current rows if asked for, then every change. */
export async function* watchNumbers(services: Services, request: WatchNumbersRequest, context: HandlerContext) {
  const { carrierId } = carrierOf(context);
  const { limits } = services.config;
  const { filter, hash } = readNumberFilter(request.filter);
  const end = feedEnd(request.end);
  using life = openStreamLife(context, services, carrierId, "feed");
  const place: FeedPlace = {
    db: services.db,
    seals: services.seals,
    carrierId,
    feed: FeedId.NUMBERS,
    filter: hash,
  };
  const start = await watchStart(place, request);
  const source: FeedSource<NumberEntry[], PhoneNumber[]> = {
    async readPage(tx, after, until) {
      const page = await readNumberPage(tx, { carrierId, after, until, limit: PAGE_ROWS, filter });
      return { ...page, batch: page.entries };
    },
    async readSnapshot(tx, afterNumber) {
      const page = { carrierId, afterNumber, limit: PAGE_ROWS, filter };
      const { found, scannedTo } = await readNumberSnapshotPage(tx, page);
      return {
        rows: found.map((row) => decodePhoneNumber(row.payload)),
        rowCount: found.length,
        lastKey: scannedTo?.phoneNumber ?? found.at(-1)?.phoneNumber ?? afterNumber,
        isLast: found.length < PAGE_ROWS && scannedTo === undefined,
      };
    },
  };
  const { heartbeatIntervalMs: heartbeatMs, maxStallMs } = limits;
  const disclose = feedDisclosure(services, context, {
    request,
    place,
    recordParts: () => [RecordPart.NUMBER_HISTORY],
    entriesOf: (entries: NumberEntry[]) =>
      entries.map(({ sequence, ingestTime }) => ({ sequence, recordDate: utcDay(ingestTime) })),
  });
  const { hub } = services;
  const frames = streamFeed({ place, hub, source, start, end, life, disclose, heartbeatMs, maxStallMs });
  for await (const frame of frames) {
    yield create(WatchNumbersResponseSchema, { ...rangeOf(frame), frame: watchFrame(frame, limits) });
    if (frame.frame === "batch") services.metrics.recordsSent.add(frame.batch.length, { method: WATCH_METHOD });
    if (frame.frame === "snapshot") services.metrics.recordsSent.add(frame.rows.length, { method: WATCH_METHOD });
  }
}

function watchFrame(
  frame: FeedFrame<NumberEntry[]> | SnapshotFrame<PhoneNumber[]>,
  limits: Limits,
): MessageInitShape<typeof WatchNumbersResponseSchema>["frame"] & {} {
  switch (frame.frame) {
    case "snapshot":
      return { case: "snapshot", value: { numbers: frame.rows } };
    case "synced":
      return { case: "synced", value: { numberCount: BigInt(frame.rowCount) } };
    case "batch":
      return { case: "batch", value: { changes: frame.batch.map(changeMessage) } };
    default:
      return sharedFrame(frame, limits);
  }
}

// The current rows first, unless a cursor says that they have been sent.
async function watchStart(place: FeedPlace, request: WatchNumbersRequest): Promise<FeedStart> {
  const { position } = request.start ?? {};
  if (request.initialState) {
    if (!position?.case) return { at: "snapshot" };
    const opened = position.case === "cursor" ? await openOwnCursor(place, position.value) : undefined;
    // One whose key is gone is refused as such, with where to begin.
    if (position.case === "cursor" && opened && (opened === "key gone" || opened.cursor.snapshot))
      return { at: "cursor", cursor: position.value };
    throw invalidArgument("start", "expected none with initial_state, or the cursor of a snapshot message");
  }
  const start = feedStart(request.start);
  if (start.at === "consumer")
    throw invalidArgument("start.consumer", "numbers have no named consumers: use another start");
  return start;
}

function changeMessage({ kind, payload, leftFilter, sequence, ingestTime }: NumberEntry) {
  if (kind !== NumberEntryKind.ERASURE) {
    return create(NumberChangeSchema, {
      change: { case: "phoneNumber", value: decodePhoneNumber(payload) },
      leftFilter,
    });
  }
  const erasure = fromBinary(ErasureEntrySchema, payload);
  erasure.sequence = sequence;
  erasure.ingestTime = create(TimestampSchema, timestampFromMicros(ingestTime));
  return create(NumberChangeSchema, { change: { case: "erasure", value: erasure } });
}
