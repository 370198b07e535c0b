import { switchView } from "../../../src/simulator/reconciliation/carrier-record.ts";
import { playRingTime } from "../../../src/simulator/reconciliation/length-faults.ts";
import { type MadeCall, type PlayedCall, playPair } from "../../../src/simulator/reconciliation/played-call.ts";
import { happensInRow } from "../in-the-row.ts";
import type { TrafficSite } from "../site.ts";
import type { TrafficShape } from "../traffic-world.ts";

/**
 * False answer: a network on the way answers while the called telephone still rings. The carrier
 * counts a call that nobody answered, or counts the ringing too. Callers notice and try again at
 * once.
 */
export const falseAnswer: TrafficShape = {
  name: "false-answer",
  play: (site, callCount) => site.fill(callCount, () => playTries(site)),
};

function playTries(site: TrafficSite): void {
  const { random } = site;
  const ends = site.ends();
  let inviteMs = site.drawMs();
  for (let left = random.int(1, 3); left > 0; left -= 1) {
    const setupMs = random.int(5_000, 30_000);
    const kind = random.weighted({ unanswered: 18, ringing: 41, true: 41 });
    const connectedMs = kind === "unanswered" ? 0 : random.int(2_000, 60_000);
    const call = { planted: `false answer: ${kind}`, ends, inviteMs, setupMs };
    if (kind === "unanswered") site.happened(call, playNeverAnswered);
    else if (kind === "ringing") site.happened({ ...call, connectedMs }, playRingTime);
    else happensInRow(site, { ...call, connectedMs });
    inviteMs += setupMs + connectedMs + Math.round(random.int(1_500, 12_000) * site.pace);
  }
}

/** The carrier counts from the ringing to the end, but the platform says that nobody answered. */
function playNeverAnswered(made: MadeCall): PlayedCall {
  const { clock, random } = made;
  const { inviteMs = clock.inviteMs } = switchView(clock, random);
  const answerMs = Math.max(inviteMs, clock.ringingMs + random.int(0, 120));
  const endMs = Math.max(answerMs + 500, clock.endMs + random.int(0, 120));
  const played = playPair(made, { view: { inviteMs, answerMs, endMs, answered: true, connectedMs: endMs - answerMs } });
  const truths = played.truths.map((truth) => {
    return { ...truth, status: "ANSWER_STATE_MISMATCH" as const, causes: ["UNKNOWN" as const] };
  });
  return { ...played, truths };
}
