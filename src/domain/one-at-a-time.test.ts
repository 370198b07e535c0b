import { expect, test } from "vitest";
import { OneAtATime } from "./one-at-a-time.ts";

test("who asks during a run gets one that began after the ask, and all who ask meanwhile share it", async () => {
  const begun: PromiseWithResolvers<number>[] = [];
  const runs = new OneAtATime(() => {
    const run = Promise.withResolvers<number>();
    begun.push(run);
    return run.promise;
  });
  expect(runs.pending).toBeUndefined();
  const first = runs.run();
  const [second, third] = [runs.run(), runs.run()];
  expect(begun).toHaveLength(1);
  begun[0]?.resolve(1);
  expect(await first).toBe(1);
  await expect.poll(() => begun.length).toBe(2);
  const after = runs.run();
  begun[1]?.resolve(2);
  expect(await Promise.all([second, third])).toEqual([2, 2]);
  await expect.poll(() => begun.length).toBe(3);
  begun[2]?.resolve(3);
  expect(await after).toBe(3);
  expect(runs.pending).toBeUndefined();
});

test("a run that fails fails for those who asked for it, and the next one begins", async () => {
  let begun = 0;
  const runs = new OneAtATime(async () => {
    begun += 1;
    if (begun === 1) throw new Error("away");
    return begun;
  });
  const [first, second] = await Promise.allSettled([runs.run(), runs.run()]);
  expect([first.status, second]).toEqual(["rejected", { status: "fulfilled", value: 2 }]);
});
