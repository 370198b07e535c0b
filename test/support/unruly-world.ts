import { create } from "@bufbuild/protobuf";
import { addDays } from "../../src/domain/time/instant.ts";
import type { CallDetailRecord } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { type CallDuration, CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { RecordKind } from "../../src/gen/tandem/type/v1/call_pb.js";
import { createRandom, type Random } from "../../src/simulator/random.ts";
import { call, timestamp } from "./feed.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Fictitious, one a customer. */
export const CUSTOMERS = ["customer-1", "customer-2", "customer-3"] as const;
export const NUMBERS = ["+441632960001", "+441632960002", "+441632960003"] as const;

/** A record as it is sent: first revisions go before later ones, whatever else is mixed. */
export type Sent =
  | { readonly side: "platform"; readonly record: CallDetailRecord; readonly isLater: boolean }
  | { readonly side: "carrier"; readonly record: CallDuration; readonly isLater: boolean };

interface Call {
  readonly startMs: number;
  readonly calling: string;
  readonly called: string;
  readonly ringMs: number;
  readonly talkMs: number;
  readonly dialog?: string | undefined;
}

/**
 * Both sides' records of a day on which the carrier's clock goes an hour ahead and is set right
 * again, each in the middle of an hour, so that hours of its clock have two offsets. Calls of
 * hours, in parts that are numbered, of one dialog or neither; parties that call each other again
 * and again; dialogs whose clocks are hours apart; records that are corrected to another time, and
 * taken back.
 * @param first when the seven hours begin. Default: two days ago, at six.
 */
export function unrulyWorld(seed: string, callsOfAnHour = 40, first = twoDaysAgo()): Sent[] {
  const random = createRandom(`unruly/${seed}`);
  const clockAt = clockOf(first, random.fork("clock"));
  const sent: Sent[] = [];
  for (let hour = 0; hour < 7; hour++)
    for (let index = 0; index < callsOfAnHour; index++) {
      const draw = random.fork(`call/${hour}/${index}`);
      const made = shortCall(first + hour * HOUR_MS + draw.int(0, HOUR_MS - 1), `${hour}-${index}`, draw);
      sent.push(...bothSides(`${hour}-${index}`, made, clockAt, draw));
    }
  for (let index = 0; index < 10; index++) {
    const draw = random.fork(`long/${index}`);
    sent.push(...longCall(`long-${index}`, first + draw.int(0, 4 * HOUR_MS), clockAt, draw));
  }
  for (let index = 0; index < 6; index++) {
    const draw = random.fork(`far/${index}`);
    const made = {
      ...shortCall(first + draw.int(0, 6 * HOUR_MS), `far-${index}`, draw),
      dialog: `far-${seed}-${index}`,
    };
    const farMs = draw.int(-5, 5) * HOUR_MS;
    sent.push(...bothSides(`far-${index}`, made, (ms) => clockAt(ms) + farMs, draw));
  }
  return sent;
}

function twoDaysAgo(): number {
  return Date.parse(`${addDays(new Date().toISOString().slice(0, 10), -2)}T06:00:00Z`);
}

// An hour ahead for two hours and a half, and right before and after.
function clockOf(first: number, random: Random): (ms: number) => number {
  const from = first + HOUR_MS + random.int(15, 45) * MINUTE_MS;
  const to = from + 2 * HOUR_MS + random.int(15, 45) * MINUTE_MS;
  return (ms) => (ms >= from && ms < to ? ms + HOUR_MS : ms);
}

// Most parties meet once; some call each other again and again.
function shortCall(startMs: number, name: string, random: Random): Call {
  const isFrequent = random.chance(0.15);
  const own = isFrequent ? 0 : random.int(0, NUMBERS.length - 1);
  return {
    startMs,
    calling: NUMBERS[own] ?? NUMBERS[0],
    called: isFrequent ? `+1202555010${random.int(0, 3)}` : `+1202556${hashDigits(name)}`,
    ringMs: random.int(1, 20) * 1_000,
    talkMs: random.int(5, 240) * 1_000,
  };
}

function hashDigits(name: string): string {
  let sum = 7;
  for (const letter of name) sum = (sum * 31 + letter.charCodeAt(0)) % 10_000;
  return String(sum).padStart(4, "0");
}

function bothSides(name: string, made: Call, clockAt: (ms: number) => number, random: Random): Sent[] {
  const sent: Sent[] = [];
  if (!random.chance(0.03)) sent.push(atPlatform(`p-${name}`, made));
  if (random.chance(0.03)) return sent;
  const seen = { ...made, startMs: clockAt(made.startMs) + random.int(0, 900) };
  sent.push(atCarrier(`c-${name}`, seen));
  // A switch that wrote the call twice.
  if (random.chance(0.03)) sent.push(atCarrier(`c-${name}-copy`, { ...seen, startMs: seen.startMs + 400 }));
  const correction = random.weighted({ none: 94, moved: 3, taken: 3 });
  if (correction === "moved") {
    const moved = { ...seen, startMs: seen.startMs + random.pick([-90, 90, 3_600]) * 1_000 };
    sent.push(atCarrier(`c-${name}`, moved, { revision: 2, dayMs: seen.startMs }));
  }
  if (correction === "taken") sent.push(atCarrier(`c-${name}`, seen, { revision: 2, kind: RecordKind.VOID }));
  return sent;
}

// Three to five parts of 10 to 60 minutes, back to back; of some the carrier lost one.
function longCall(name: string, startMs: number, clockAt: (ms: number) => number, random: Random): Sent[] {
  const count = random.int(3, 5);
  const partMs = random.pick([10, 20, 60]) * MINUTE_MS;
  const kind = random.pick(["plain", "plain", "numbered", "dialog"] as const);
  const dialog = kind === "dialog" ? `long-${name}` : undefined;
  const made = { ...shortCall(startMs, name, random), ringMs: 5_000, talkMs: count * partMs, dialog };
  const offsetMs = clockAt(startMs) - startMs;
  const lost = random.chance(0.3) ? random.int(1, count - 1) : -1;
  const parts = Array.from({ length: count }, (_, index) => {
    const begin = startMs + offsetMs + (index === 0 ? 0 : 5_000 + index * partMs);
    const part = { ...made, startMs: begin, ringMs: index === 0 ? 5_000 : 0, talkMs: partMs };
    const numbered = kind === "numbered" ? { part: { partIndex: index + 1, partCount: count } } : {};
    return index === lost ? [] : [atCarrier(`c-${name}-${index + 1}`, part, numbered)];
  });
  return [atPlatform(`p-${name}`, made), ...parts.flat()];
}

function atPlatform(recordId: string, { startMs, calling, called, ringMs, talkMs, dialog }: Call): Sent {
  const record = call(
    recordId,
    {
      parties: { calling: { kind: 1, value: calling }, called: { kind: 1, value: called } },
      times: {
        inviteTime: timestamp(startMs),
        answerTime: timestamp(startMs + ringMs),
        endTime: timestamp(startMs + ringMs + talkMs),
      },
      ...(dialog === undefined ? {} : { correlation: { interconnectDialog: { callId: dialog } } }),
    },
    startMs,
  );
  return { side: "platform", record, isLater: false };
}

interface CarrierChanges {
  readonly revision?: number;
  readonly kind?: RecordKind;
  /** Of which instant the record's day is, when it is not that of its start. */
  readonly dayMs?: number;
  readonly part?: { readonly partIndex: number; readonly partCount: number };
}

function atCarrier(
  recordId: string,
  { startMs, calling, called, ringMs, talkMs, dialog }: Call,
  { revision = 1, kind = RecordKind.REPORT, dayMs = startMs, part }: CarrierChanges = {},
): Sent {
  const record = create(CallDurationSchema, {
    recordId,
    recordDate: new Date(dayMs).toISOString().slice(0, 10),
    revision,
    kind,
    direction: 1,
    answered: true,
    calling: { kind: 1, value: calling },
    called: { kind: 1, value: called },
    inviteTime: timestamp(startMs),
    answerTime: timestamp(startMs + ringMs),
    endTime: timestamp(startMs + ringMs + talkMs),
    connectedDurationMs: BigInt(talkMs),
    ...(part && { part }),
    ...(dialog === undefined ? {} : { correlation: { interconnectDialog: { callId: dialog } } }),
  });
  return { side: "carrier", record, isLater: revision > 1 };
}
