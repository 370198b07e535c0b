import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { StallWatch, type StreamLife } from "./stream-life.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function watched(limitMs: number) {
  const life = { signal: new AbortController().signal, end: undefined, reset: vi.fn() } satisfies StreamLife;
  return { life, stall: new StallWatch(limitMs, life) };
}

test("a client that reads again within twice the limit is not reset, so that its Closing reaches it", () => {
  const { life, stall } = watched(60_000);
  stall.watch("message");
  vi.advanceTimersByTime(100_000);
  expect([stall.stalled, life.reset.mock.calls.length]).toEqual([true, 0]);
  stall.resumed();
  vi.advanceTimersByTime(1_000_000);
  expect(life.reset).not.toHaveBeenCalled();
});

test("one that does not is reset, and has five seconds with the shortest limit", () => {
  const { life, stall } = watched(60_000);
  stall.watch("message");
  vi.advanceTimersByTime(120_000);
  expect(life.reset).toHaveBeenCalledOnce();
  const short = watched(200);
  short.stall.watch("message");
  vi.advanceTimersByTime(5_199);
  expect(short.life.reset).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(short.life.reset).toHaveBeenCalledOnce();
});
