import { happensInRow } from "../in-the-row.ts";
import type { TrafficSite } from "../site.ts";
import type { TrafficShape } from "../traffic-world.ts";

const HOUR_MS = 3_600_000;
/** Calls of one line, each within a minute of the next: more than 200 records. */
const CALLS_OF_A_LINE = 300;

interface LineKind {
  readonly planted: string;
  readonly setupMs: readonly [number, number];
  readonly connectedMs: readonly [number, number];
  readonly pauseMs: readonly [number, number];
}

/** Hotlines: a telephone that calls one number, again and again, for seconds to a minute. */
export const hotlines = lines("hotlines", {
  planted: "hotline",
  setupMs: [2_000, 9_000],
  connectedMs: [4_000, 50_000],
  pauseMs: [1_000, 30_000],
});

/** Alarm lines: a machine calls one number every few seconds, always for as long, to the second. */
export const alarmLines = lines("alarm-lines", {
  planted: "alarm",
  setupMs: [900, 2_500],
  connectedMs: [4_000, 6_500],
  pauseMs: [1_500, 40_000],
});

function lines(name: string, kind: LineKind): TrafficShape {
  return {
    name,
    play: (site, callCount) => {
      for (let left = callCount; left > 0; left -= CALLS_OF_A_LINE)
        playLine(site, kind, Math.min(left, CALLS_OF_A_LINE));
    },
  };
}

function playLine(site: TrafficSite, { planted, setupMs, connectedMs, pauseMs }: LineKind, count: number): void {
  const { random } = site;
  const ends = site.ends();
  let inviteMs = random.int(site.startMs, site.endMs - 12 * HOUR_MS);
  for (let index = 0; index < count; index += 1) {
    const call = { planted, ends, inviteMs, setupMs: random.int(...setupMs), connectedMs: random.int(...connectedMs) };
    happensInRow(site, call);
    inviteMs += call.setupMs + call.connectedMs + Math.round(random.int(...pauseMs) * site.pace);
  }
}
