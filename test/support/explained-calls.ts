import { create } from "@bufbuild/protobuf";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { type CallDuration, CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { timestamp } from "./feed.ts";

/** Enough that the clock of a trunk and hour, or the rule of a trunk and day, shows. */
const CROWD = 24;
/** More than can be told apart. */
const TOO_MANY = 201;

/**
 * A side's record of a call, as far as the documents' calls differ. Seconds; times count from
 * midnight of the day.
 */
interface Told {
  readonly id: string;
  readonly at: number;
  readonly ring?: number;
  /** Null: nobody answered. */
  readonly talk: number | null;
  readonly from?: string;
  readonly to: string;
  /** When it ended. Default: so long after the answer. */
  readonly end?: number;
  readonly trunk?: string;
  /** When it arrived. Default: at noon. */
  readonly arrival?: number;
  readonly more?: object;
}

/** A record of either side with its arrival. */
export interface Delivered<Record> {
  readonly record: Record;
  readonly arrivalMs: number;
}

/** The calls that docs/reconciliation.md explains, on a day. */
export function explainedCalls(day: string) {
  const midnight = Date.parse(`${day}T00:00:00Z`);
  const cdrs: Delivered<CallDetailRecord>[] = [];
  const durations: Delivered<CallDuration>[] = [];
  const timesOf = ({ at, ring = 7.2, talk, end }: Told) => {
    const invite = midnight + at * 1_000;
    const answer = invite + ring * 1_000;
    const ended = end === undefined ? answer + (talk ?? 0) * 1_000 : midnight + end * 1_000;
    return talk === null
      ? { inviteTime: timestamp(invite), endTime: timestamp(Math.round(answer)) }
      : {
          inviteTime: timestamp(invite),
          answerTime: timestamp(Math.round(answer)),
          endTime: timestamp(Math.round(ended)),
        };
  };
  const common = ({ id, at }: Told) => ({
    recordId: id,
    recordDate: new Date(midnight + at * 1_000).toISOString().slice(0, 10),
    direction: 1,
  });
  const arrivalOf = ({ arrival = 12 * 3_600 }: Told) => midnight + arrival * 1_000;
  const platform = (told: Told) => {
    const { from = "+4510000017", to, talk, trunk = "cph-1", more } = told;
    const parties = { calling: { kind: 1, value: from }, called: { kind: 1, value: to } };
    const outcome = { finalSipCode: talk === null ? 487 : 200 };
    const init = { callId: `call-${told.id}`, parties, times: timesOf(told), outcome, route: { trunkId: trunk } };
    const record = create(CallDetailRecordSchema, { ...common(told), ...init, ...more } as never);
    cdrs.push({ record: record as CallDetailRecord, arrivalMs: arrivalOf(told) });
  };
  const carrier = (told: Told) => {
    const { from = "+4510000017", to, talk, trunk = "cph-1", more } = told;
    const init = {
      calling: { kind: 1, value: from },
      called: { kind: 1, value: to },
      answered: talk !== null,
      trunkId: trunk,
      ...timesOf(told),
      ...(talk === null ? {} : { connectedDurationMs: BigInt(Math.round(talk * 1_000)) }),
    };
    const record = create(CallDurationSchema, { ...common(told), ...init, ...more } as never) as CallDuration;
    durations.push({ record, arrivalMs: arrivalOf(told) });
  };
  const both = (told: Told, others: Partial<Told>) => {
    platform({ ...told, id: `rec-${told.id}` });
    carrier({ ...told, ...others, id: `sw-${others.id ?? told.id}`, at: others.at ?? told.at + 0.08 });
  };
  tellMissing({ platform, carrier, both });
  tellLengths({ platform, carrier, both });
  tellClocks({ platform, carrier, both });
  tellOthers({ platform, carrier, both });
  return { cdrs, durations };
}

interface Tellers {
  readonly platform: (told: Told) => void;
  readonly carrier: (told: Told) => void;
  /**
   * The platform's record, and the carrier's of the same call, some of it otherwise; ids get `rec-`
   * and `sw-` before them.
   */
  readonly both: (told: Told, others: Partial<Told>) => void;
}

const dialog = (callId: string, ids: object = {}) => ({
  correlation: { interconnectDialog: { callId, fromTag: "7c1e", toTag: "b04d" }, ...ids },
});
const clock = (hours: number, minutes = 0, seconds = 0) => hours * 3_600 + minutes * 60 + seconds;

function tellMissing({ platform, carrier, both }: Tellers): void {
  platform({ id: "rec-0001", at: clock(7, 3, 3.445), talk: 14.285, to: "+4511883201" });
  const near = { to: "+4511485202", trunk: "aar-1" };
  platform({ ...near, id: "rec-0002", at: clock(6, 59, 55), ring: 5, talk: 312.4 });
  carrier({ ...near, id: "sw-0002a", at: clock(7, 59, 56), ring: 5, talk: 312.4 });
  carrier({ ...near, id: "sw-0002b", at: clock(10, 59, 55.5), ring: 5, talk: 312.9, arrival: clock(13) });
  carrier({ ...near, id: "sw-0002c", at: clock(7, 1, 0.5), ring: 5, talk: 120 });
  const ids = dialog("6dc0be05@sip.nordlys-tele.example", { icid: "22a1009ddf2baf93" });
  carrier({ id: "sw-0003", at: clock(7, 7, 30), ring: 7, talk: 24.4, to: "+4511485203", more: ids });
  const copied = { to: "+4511522204", more: dialog("2fd7249f@sip.nordlys-tele.example") };
  both({ ...copied, id: "0004", at: clock(7, 15), talk: 81.1 }, {});
  carrier({ ...copied, id: "sw-0004b", at: clock(7, 15, 0.7), talk: 81.1 });
  both({ id: "0005", at: clock(7, 33, 6.797), talk: 90.052, to: "+4511550205" }, {});
  platform({ id: "rec-0005b", at: clock(7, 33, 7.4), talk: 90.052, to: "+4511550205" });
}

function tellLengths({ platform, carrier, both }: Tellers): void {
  const lost = { id: "0006", at: clock(7, 44, 19.349), ring: 5, talk: 189.866, to: "+4511075206" };
  both(lost, { talk: 43_200, arrival: clock(21) });
  // A trunk whose durations are rounded up.
  for (let index = 0; index <= CROWD; index++) {
    const talk = 12.3 + ((index * 37.7) % 240);
    const told = { at: clock(6, index * 2, 31.6), talk, to: `+45110922${40 + index}`, trunk: "cph-12" };
    both({ ...told, id: index === 0 ? "0007" : `0007-${index}` }, { talk: Math.ceil(talk / 60) * 60 });
  }
  const rung = { id: "0008", at: clock(7, 50, 0.445), ring: 10.478, talk: 81.059, to: "+4511258208" };
  both(rung, { talk: 91.537, end: clock(7, 51, 32.062) });
  const parts = { to: "+447700900209", from: "+4510000018" };
  platform({ ...parts, id: "rec-0009", at: clock(7, 16, 45.2), ring: 9.4, talk: 2_973.9 });
  for (const [index, at] of [0, 743.4, 2_230.4].entries()) {
    const more = { part: { partIndex: index === 2 ? 4 : index + 1, partCount: 4 } };
    const told = { ...parts, id: `sw-0009-${index === 2 ? 4 : index + 1}`, talk: 743.5, more };
    carrier({ ...told, at: clock(7, 16, 54.6) + at, ring: 0, arrival: clock(13) });
  }
  both({ id: "0010", at: clock(7, 14, 0.321), ring: 5, talk: 9.158, to: "+4511996210" }, { talk: 88.634 });
  const unknown = { id: "0011", at: clock(7, 20, 11.4), ring: 3.2, talk: 214.6, to: "+4511996211" };
  both(unknown, {
    at: clock(7, 20, 11),
    ring: 3,
    more: { connectedDurationMs: undefined, endTime: undefined, timeResolutionMs: 1_000 },
  });
  const rule = { connectedDurationMs: undefined, endTime: undefined, roundingRule: { incrementS: 60, minimumS: 0 } };
  const billed = { ...rule, billedDurationS: 240n };
  both({ id: "0012", at: clock(7, 25, 40.2), talk: 131.5, to: "+4511996212" }, { more: billed });
}

function tellClocks({ both }: Tellers): void {
  for (let index = 0; index <= CROWD; index++) {
    const told = { talk: 49.917 + ((index * 13.37) % 170), to: `+45113502${40 + index}` };
    const at = clock(5, index * 2, 14.27);
    const id = (sample: string) => (index === 0 ? sample : `${sample}-${index}`);
    both({ ...told, id: id("0013"), at, trunk: "cph-14" }, { at: at + 3_600 + ((index * 7) % 5) / 100 });
    const slow = { talk: told.talk + (index === 0 ? 1.587 : 0), at: at + 21.107 + ((index * 7) % 5) / 100 };
    const other = { from: "+4510000019", to: `+45115662${40 + index}`, trunk: "aar-13" };
    both({ ...told, ...other, id: id("0014"), at }, slow);
  }
}

function tellOthers({ platform, carrier, both }: Tellers): void {
  const answered = { to: "+4511180215", ring: 9, more: dialog("ccc9f524@sip.nordlys-tele.example") };
  both({ ...answered, id: "0015", at: clock(7, 23, 44.463), talk: 73.278 }, { talk: null });
  const transfer = { to: "+4511180216", more: dialog("19a2c5f0@sip.nordlys-tele.example") };
  both({ ...transfer, id: "0016", at: clock(7, 40), ring: 5, talk: 60 }, { talk: 180 });
  platform({ ...transfer, id: "rec-0016b", at: clock(7, 41, 5), ring: 0, talk: 120 });
  const translated = { to: "+4580000217", more: dialog("40b7d1e8@sip.nordlys-tele.example") };
  both({ ...translated, id: "0017", at: clock(7, 52), talk: 47.3 }, { to: "+4511180217" });
  const late = { id: "0018", at: clock(7, 25, 29.698), talk: 216.562, to: "+4511303218", arrival: clock(53) };
  both(late, { arrival: clock(12) });
  // A storm of calls that begin together and last alike.
  for (let index = 0; index < TOO_MANY; index++) {
    const storm = { at: clock(4) + index / 1_000, talk: 7.4, to: "+4511021219", trunk: "aar-9" };
    platform({ ...storm, id: index === 0 ? "rec-0019" : `rec-0019-${index}` });
    carrier({ ...storm, id: `sw-0019-${index}` });
  }
}
