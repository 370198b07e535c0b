import type { HandlerContext } from "@connectrpc/connect";
import type { Limits } from "../../domain/limits.ts";
import { type StreamLife, streamEndError } from "../../domain/stream-life.ts";
import { limitTime } from "../../domain/time-limit.ts";
import { unlessAborted } from "../../domain/unless-aborted.ts";

/** After how many heartbeats without a sign of life a peer is taken for dead. */
const DEAD_AFTER_HEARTBEATS = 3;

/** What ends the wait for a client's first frame. */
export interface FirstFrameLimits {
  readonly config: { readonly limits: Limits };
  readonly drain: AbortSignal;
}

/** The call, or its life if that has begun: then whatever ends the life ends the wait. */
export type FirstFrameCall = Pick<HandlerContext, "signal"> & Partial<Pick<StreamLife, "end">>;

/**
 * Reads the first frame of a client's stream. Until it has come there is no session to react to a
 * drain or to a client that stays silent, so this function does.
 * @throws TandemError DRAINING, STREAM_IDLE; why the life has ended; what aborted the call.
 */
export async function readFirst<Frame>(
  frames: AsyncIterator<Frame>,
  call: FirstFrameCall,
  { config, drain }: FirstFrameLimits,
): Promise<IteratorResult<Frame>> {
  using idle = limitTime(DEAD_AFTER_HEARTBEATS * config.limits.heartbeatIntervalMs);
  const signal = AbortSignal.any([call.signal, drain, idle.signal]);
  try {
    return await unlessAborted(frames.next(), signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    if (drain.aborted) throw streamEndError("DRAINING");
    if (call.end) throw streamEndError(call.end);
    throw idle.signal.aborted ? streamEndError("IDLE") : error;
  }
}
