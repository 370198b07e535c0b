import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { type Caller, currentCaller, inCall, nameCaller } from "./callers.ts";

// Made here, so that it keeps nothing of a test.
function noop(): void {}

test("a call's caller is found anew each time, and once it has ended it is the same caller, who waits for nothing", async () => {
  const call = new AbortController();
  let caller: Caller | undefined;
  await inCall(async () => {
    nameCaller(() => caller, call.signal);
    expect(currentCaller()).toBeUndefined();
    caller = { kind: "carrier", carrierId: "acme", signal: call.signal };
    expect(currentCaller()).toBe(caller);
    call.abort();
    caller = undefined;
    await setImmediate();
    expect(currentCaller()).toMatchObject({ kind: "carrier", carrierId: "acme", signal: { aborted: true } });
  });
});

test("a timer that was begun in a call keeps nothing of the call once it has ended", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const call = new AbortController();
  const begin = () => {
    const held = { kind: "carrier", carrierId: "acme" } as const;
    const timer = inCall(() => {
      nameCaller(() => ({ ...held, signal: call.signal }), call.signal);
      return setInterval(noop, 3_600_000);
    });
    return { timer, held: new WeakRef(held) };
  };
  const { timer, held } = begin();
  call.abort();
  try {
    await expect
      .poll(() => {
        collect();
        return held.deref() === undefined;
      })
      .toBe(true);
  } finally {
    clearInterval(timer);
  }
});
