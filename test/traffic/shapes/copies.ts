import { clone } from "@bufbuild/protobuf";
import { type CallDuration, CallDurationSchema } from "../../../src/gen/tandem/type/v1/call_duration_pb.js";
import { PartyKind } from "../../../src/gen/tandem/type/v1/party_pb.js";
import { nationalForm } from "../../../src/simulator/fictitious-numbers.ts";
import type { Random } from "../../../src/simulator/random.ts";
import { writtenTwice } from "../../../src/simulator/reconciliation/carrier-record.ts";
import {
  type MadeCall,
  type PlayedCall,
  playPair,
  type Truth,
} from "../../../src/simulator/reconciliation/played-call.ts";
import { happensInRow } from "../in-the-row.ts";
import type { TrafficSite } from "../site.ts";
import type { TrafficShape } from "../traffic-world.ts";

const HOUR_MS = 3_600_000;

/**
 * Failover: the standby switch also writes some calls, with its own ids and spelling, and without
 * ids of the signalling.
 */
export const failoverCopies: TrafficShape = {
  name: "failover-copies",
  play: (site, callCount) => site.fill(callCount, () => playNeighbours(site, ["first", "copied", "last"])),
};

/** Files sent twice: an hour's file comes again, as it was, or made anew with other ids. */
export const filesTwice: TrafficShape = {
  name: "files-twice",
  play: (site, callCount) =>
    site.fill(callCount, () => {
      const kind = site.random.pick(["again", "anew", "once"]);
      playNeighbours(site, [kind, kind]);
    }),
};

/** Calls of the same two within a minute, some of which are copied. */
function playNeighbours(site: TrafficSite, kinds: readonly string[]): void {
  const { random } = site;
  const ends = site.ends();
  let inviteMs = site.drawMs();
  for (const kind of kinds) {
    const call = {
      planted: kind,
      ends,
      inviteMs,
      setupMs: random.int(1_500, 9_000),
      connectedMs: random.int(3_000, 25_000),
    };
    const play = PLAYS[kind];
    if (play) site.happened(call, play);
    else happensInRow(site, call);
    inviteMs += call.setupMs + call.connectedMs + Math.round(random.int(1_500, 15_000) * site.pace);
  }
}

const PLAYS: Readonly<Record<string, (made: MadeCall) => PlayedCall>> = {
  copied: (made) => withCopy(made, (duration, random) => inOtherSpelling(writtenTwice(duration, random), random)),
  anew: (made) => withCopy(made, madeAnew),
  again: (made) => {
    const played = playPair(made);
    const again = played.durations.map(({ record, arrivalMs }) => ({ record, arrivalMs: arrivalMs + HOUR_MS }));
    return { ...played, durations: [...played.durations, ...again] };
  },
};

function withCopy(made: MadeCall, copyOf: (duration: CallDuration, random: Random) => CallDuration): PlayedCall {
  const { duration, ...played } = playPair(made);
  const copy = copyOf(duration, made.random);
  const arrivalMs = (played.durations[0]?.arrivalMs ?? made.clock.endMs) + made.random.int(60_000, 6 * HOUR_MS);
  const truth: Truth = {
    carrierRecordIds: [copy.recordId],
    status: "DUPLICATE_AT_CARRIER",
    causes: [],
    copyOf: duration.recordId,
  };
  return {
    ...played,
    durations: [...played.durations, { record: copy, arrivalMs }],
    truths: [...played.truths, truth],
  };
}

function madeAnew(duration: CallDuration, random: Random): CallDuration {
  const copy = clone(CallDurationSchema, duration);
  copy.recordId = `sw.${random.hex(14)}`;
  return copy;
}

/** The called number in national form at home, else with 00 or without the plus. */
function inOtherSpelling(copy: CallDuration, random: Random): CallDuration {
  const { called, calling } = copy;
  delete copy.correlation;
  if (called?.kind !== PartyKind.E164 || !called.value || !called.countryCode) return copy;
  const digits = called.value.slice(1);
  const isHome = calling?.countryCode === called.countryCode;
  const spellings = [`00${digits}`, digits, ...(isHome ? [nationalForm(called.value)] : [])];
  const value = random.pick(spellings);
  copy.called = { ...called, kind: PartyKind.NON_E164, value };
  return copy;
}
