import { switchView } from "./carrier-record.ts";
import { type MadeCall, type PlayedCall, playPair, withTruth } from "./played-call.ts";

/** An unexplained difference keeps this far from every explanation. */
const CLEAR_MS = 5_000;

/** The carrier counts from the invite or the ringing, and may not report the answer. */
export function playRingTime(call: MadeCall): PlayedCall {
  const { clock, random } = call;
  const { answerMs, ...view } = switchView(clock, random);
  const seenAnswerMs = answerMs ?? clock.inviteMs;
  const lateMs = random.int(0, 120);
  const begins = random.weighted({ atInvite: 50, atInviteUntold: 25, atRinging: 25 });
  const connectedMs = view.endMs - (begins === "atRinging" ? clock.ringingMs : clock.inviteMs) - lateMs;
  const told = {
    atInvite: { answerMs: seenAnswerMs },
    atInviteUntold: {},
    atRinging: { answerMs: clock.ringingMs + lateMs },
  };
  return playPair(call, {
    view: { ...view, ...told[begins], inviteMs: clock.inviteMs, connectedMs },
    causes: ["RING_TIME_INCLUDED"],
  });
}

/** The lengths differ by tens of seconds without a reason. */
export function playLengthMismatch(call: MadeCall): PlayedCall {
  const { clock, random } = call;
  const view = switchView(clock, random);
  const deltaMs = unexplained(call);
  return playPair(call, {
    view: { ...view, endMs: view.endMs + deltaMs, connectedMs: clock.connectedMs + deltaMs },
  });
}

/** The carrier's switch never saw the answer. */
export function playAnsweredAtPlatformOnly(call: MadeCall): PlayedCall {
  const { clock, random } = call;
  const { inviteMs } = switchView(clock, random);
  const endMs = (clock.answerMs ?? clock.endMs) + random.int(0, 120);
  return withTruth(
    playPair(call, { view: { inviteMs: inviteMs ?? clock.inviteMs, endMs, answered: false } }),
    ANSWER_MISMATCH,
  );
}

/** The carrier was answered when the platform had given up. */
export function playAnsweredAtCarrierOnly(call: MadeCall): PlayedCall {
  const { clock, random } = call;
  const { inviteMs } = switchView(clock, random);
  const connectedMs = clock.endMs - clock.inviteMs + random.int(20_000, 300_000);
  const answered = { answered: true, answerMs: clock.endMs, endMs: clock.endMs + connectedMs, connectedMs };
  return withTruth(playPair(call, { view: { inviteMs: inviteMs ?? clock.inviteMs, ...answered } }), ANSWER_MISMATCH);
}

const ANSWER_MISMATCH = { status: "ANSWER_STATE_MISMATCH", causes: ["UNKNOWN"] } as const;

function unexplained({ clock, random }: MadeCall): number {
  const { inviteMs, ringingMs, answerMs = clock.endMs, connectedMs } = clock;
  for (let draws = 0; draws < 1_000; draws += 1) {
    const deltaMs = random.int(8_000, 90_000) * (random.chance(0.5) ? 1 : -1);
    const looksLikeRinging = [answerMs - inviteMs, answerMs - ringingMs].some(
      (ms) => Math.abs(deltaMs - ms) < CLEAR_MS,
    );
    if (!looksLikeRinging && connectedMs + deltaMs >= 1_000) return deltaMs;
  }
  throw new Error("no difference is without an explanation");
}
