import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type CallDetailRecord,
  CallDetailRecordSchema,
  CallLengthsSchema,
  CallTimesSchema,
} from "../../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { InterconnectDialogSchema } from "../../../src/gen/tandem/type/v1/call_pb.js";
import { dayOf } from "../../../src/simulator/cdr.ts";
import type { Random } from "../../../src/simulator/random.ts";
import { clockOf, endingAt } from "../../../src/simulator/reconciliation/platform-record.ts";
import {
  type MadeCall,
  type PlayedCall,
  playPair,
  sentByPlatform,
} from "../../../src/simulator/reconciliation/played-call.ts";
import { happensInRow } from "../in-the-row.ts";
import type { TrafficSite } from "../site.ts";
import type { TrafficShape } from "../traffic-world.ts";

const SHARES = { parted: 35, forwarded: 35, consultation: 30 } as const;
const PLAYS = { parted: playParted, forwarded: playForwarded, consultation: playConsultation };

/**
 * Transfers and forwards: the platform parts a call that the carrier has as one; a call goes on to
 * somebody else; the same caller is put through twice.
 */
export const transfers: TrafficShape = {
  name: "transfers",
  play: (site, callCount) => site.fill(callCount, () => PLAYS[site.random.weighted(SHARES)](site)),
};

/** The platform writes the parts before and after the transfer as two records of one dialog. */
function playParted(site: TrafficSite): void {
  const connectedMs = site.drawTalkMs() + 6_000;
  const ends = site.ends({ kind: site.random.chance(0.5) ? "inbound" : "outbound" });
  const call = {
    planted: "parted",
    ends,
    inviteMs: site.drawMs(),
    setupMs: site.random.int(1_500, 9_000),
    connectedMs,
  };
  site.happened(call, playInParts);
}

function playInParts(made: MadeCall): PlayedCall {
  const { cdr, clock, random } = made;
  const { answerMs = clock.inviteMs, connectedMs, endMs } = clock;
  // Its own Call-ID the platform always knows.
  const whole = playPair(made);
  if (cdr.correlation) cdr.correlation.interconnectDialog ??= ownDialog(random);
  const cutMs = answerMs + random.int(2_000, connectedMs - 2_000);
  const first = endingAt(cdr, cutMs);
  const next = sequelOf(cdr, cutMs);
  return {
    cdrs: [sentByPlatform(made, first, cutMs), sentByPlatform(made, next, endMs)],
    durations: whole.durations,
    truths: [
      ...whole.truths,
      { platformRecordId: next.recordId, carrierRecordIds: [], status: "PART_OF_CALL", causes: [] },
    ],
  };
}

function ownDialog(random: Random) {
  const ids = { callId: `${random.hex(24)}@own.example`, fromTag: random.hex(10), toTag: random.hex(10) };
  return create(InterconnectDialogSchema, ids);
}

/** What follows an instant of a call, as a record of its own that is answered from its begin. */
function sequelOf(cdr: CallDetailRecord, fromMs: number): CallDetailRecord {
  const { endMs } = clockOf(cdr);
  const next = clone(CallDetailRecordSchema, cdr);
  next.recordId = `${cdr.recordId}-next`;
  next.recordDate = dayOf(fromMs);
  const [begin, lengthMs] = [timestampFromMs(fromMs), BigInt(endMs - fromMs)];
  next.times = create(CallTimesSchema, { inviteTime: begin, answerTime: begin, endTime: timestampFromMs(endMs) });
  next.lengths = create(CallLengthsSchema, { connectedDurationMs: lengthMs, totalDurationMs: lengthMs });
  return next;
}

/** A call comes in and goes on to somebody else, with the caller's number and who sent it on. */
function playForwarded(site: TrafficSite): void {
  const { random } = site;
  const [incoming, inviteMs] = [site.ends({ kind: "inbound" }), site.drawMs()];
  const [setupMs, connectedMs] = [random.int(6_000, 25_000), site.drawTalkMs()];
  happensInRow(site, { planted: "forward: in", ends: incoming, inviteMs, setupMs, connectedMs });
  const outgoing = site.ends({ kind: "forwarded", number: incoming.number, originalCaller: incoming.contact });
  const delayMs = random.int(100, 3_000);
  const leg = {
    inviteMs: inviteMs + delayMs,
    setupMs: setupMs - delayMs - 50,
    connectedMs: connectedMs - random.int(0, 80),
  };
  happensInRow(site, { planted: "forward: out", ends: outgoing, ...leg });
}

/** Somebody asks a colleague first, then puts the caller through to the same number. */
function playConsultation(site: TrafficSite): void {
  const { random } = site;
  const [ends, inviteMs] = [site.ends(), site.drawMs()];
  const asking = { setupMs: random.int(1_500, 9_000), connectedMs: random.int(4_000, 25_000) };
  happensInRow(site, { planted: "transfer: asked", ends, inviteMs, ...asking });
  const laterMs = asking.setupMs + asking.connectedMs + Math.round(random.int(300, 4_000) * site.pace);
  const through = { setupMs: random.int(700, 4_000), connectedMs: site.drawTalkMs() };
  happensInRow(site, { planted: "transfer: put through", ends, inviteMs: inviteMs + laterMs, ...through });
}
