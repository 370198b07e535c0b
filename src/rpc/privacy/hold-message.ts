import type { MessageInitShape } from "@bufbuild/protobuf";
import { isCarrierId } from "../../domain/carriers/carrier.ts";
import { invalidArgument } from "../../domain/errors.ts";
import { isCustomerId } from "../../domain/numbers/number-item.ts";
import { CARRIER_SIDE, PLATFORM_SIDE, type RecordKind } from "../../domain/record-kind.ts";
import { addDays, DAY, isDay, type Micros, timestampFromMicros } from "../../domain/time/instant.ts";
import { wallMicros } from "../../domain/time/wall-clock.ts";
import {
  type HeldPeriod as HeldPeriodMessage,
  type Hold,
  HoldReason,
  type HoldSchema,
  HoldState,
} from "../../gen/tandem/platform/v1/hold_pb.js";
import { Direction } from "../../gen/tandem/type/v1/call_pb.js";
import type { HeldName, HeldPeriod, NewHold, StoredHold } from "../../store/privacy/holds.ts";
import { type FieldCheck, fieldChecks, isText, requiredInstant } from "../shared/lists.ts";

const MAX_RECORDS = 1_000;
const MAX_PERIOD_DAYS = 400;
/** Five years, leap days included. */
const MAX_HOLD_MICROS = 1_827n * DAY;

/** What a hold keeps and for how long. Throws INVALID_ARGUMENT with every wrong field. */
export function readHoldMessage(message: Hold | undefined): Omit<NewHold, "holdId" | "createdBy"> {
  if (!message) throw invalidArgument("hold", "is required");
  const endTime = requiredInstant("hold.end_time", message.endTime);
  const { check: expect, done } = fieldChecks("hold.");
  expect(isCarrierId(message.carrierId), "carrier_id", "is required: a carrier's id");
  expect(HoldReason[message.reason] !== undefined && message.reason !== 0, "reason", "is required: a reason");
  expect(isText(message.caseReference, 256), "case_reference", "is required: 1 to 256 characters");
  expect(isText(message.owner, 128), "owner", "is required: 1 to 128 characters");
  const now: Micros = wallMicros();
  expect(
    endTime > now && endTime <= now + MAX_HOLD_MICROS,
    "end_time",
    "expected a time from now on, at most 5 years ahead",
  );
  const target = readTarget(message, expect);
  done();
  return {
    carrierId: message.carrierId,
    target,
    reason: message.reason,
    caseReference: message.caseReference,
    owner: message.owner,
    endTime,
  };
}

function readTarget({ target }: Hold, expect: FieldCheck): NewHold["target"] {
  switch (target.case) {
    case "records":
      return { records: readRecords(target.value.records, expect) };
    case "period":
      return { period: readPeriod(target.value, expect) };
    case undefined:
      expect(false, "target", "is required: records or period");
      return { records: [] };
    default:
      return target satisfies never;
  }
}

function readRecords(
  records: readonly { side: number; record?: { recordId: string; recordDate: string } | undefined }[],
  expect: FieldCheck,
): HeldName[] {
  expect(
    records.length >= 1 && records.length <= MAX_RECORDS,
    "records.records",
    `expected 1 to ${MAX_RECORDS} records`,
  );
  return records.slice(0, MAX_RECORDS).map(({ side, record }, index) => {
    const field = `records.records[${index}]`;
    const isSide = side === PLATFORM_SIDE || side === CARRIER_SIDE;
    expect(isSide, `${field}.side`, "is required: the platform's or the carrier's");
    expect(isText(record?.recordId ?? "", 128), `${field}.record.record_id`, "is required: 1 to 128 characters");
    expect(isDay(record?.recordDate ?? ""), `${field}.record.record_date`, "is required: a day, YYYY-MM-DD");
    return { side: side as RecordKind["side"], recordId: record?.recordId ?? "", recordDate: record?.recordDate ?? "" };
  });
}

function readPeriod(period: HeldPeriodMessage, expect: FieldCheck): HeldPeriod {
  const { startDate, endDate, customerId, trunkId, direction } = period;
  expect(isDay(startDate), "period.start_date", "is required: a day, YYYY-MM-DD");
  expect(isDay(endDate), "period.end_date", "is required: a day, YYYY-MM-DD");
  if (isDay(startDate) && isDay(endDate)) {
    const isLong = endDate > addDays(startDate, MAX_PERIOD_DAYS);
    expect(endDate > startDate && !isLong, "period.end_date", `expected 1 to ${MAX_PERIOD_DAYS} days after start_date`);
  }
  expect(
    customerId === undefined || isCustomerId(customerId),
    "period.customer_id",
    "expected a customer's id, or none",
  );
  expect(trunkId === undefined || isText(trunkId, 128), "period.trunk_id", "expected 1 to 128 characters, or none");
  expect(Direction[direction] !== undefined, "period.direction", "expected INBOUND or OUTBOUND, or none");
  return { startDate, endDate, customerId, trunkId, direction };
}

export function holdMessage(hold: StoredHold): MessageInitShape<typeof HoldSchema> {
  const { target, endTime, createTime, releaseTime } = hold;
  const { heldCount = 0n, countTime } = hold.state === HoldState.ACTIVE ? hold : {};
  const named = "records" in target ? target.records : [];
  return {
    ...hold,
    target:
      "period" in target
        ? { case: "period", value: target.period }
        : { case: "records", value: { records: named.map(({ side, ...record }) => ({ side, record })) } },
    endTime: timestampFromMicros(endTime),
    heldRevisionCount: heldCount,
    heldCountTime: countTime === undefined ? undefined : timestampFromMicros(countTime),
    createTime: timestampFromMicros(createTime),
    releaseTime: releaseTime === undefined ? undefined : timestampFromMicros(releaseTime),
  };
}
