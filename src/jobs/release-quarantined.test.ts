import { expect, test } from "vitest";
import { openDatabase } from "../store/database/database.ts";
import { ReleaseQuarantinedJob } from "./release-quarantined.ts";

// Nothing listens there: a look at the database fails.
const NOWHERE = "postgres://nobody@127.0.0.1:1/none";

test("a carrier whose records cannot be judged keeps no other carrier's records waiting", async () => {
  await using db = openDatabase({ url: NOWHERE });
  const judged: string[] = [];
  const errors: unknown[] = [];
  const release = async (carrierId: string) => {
    if (carrierId === "a") throw new Error("a is in trouble");
    judged.push(carrierId);
    return 0;
  };
  await using job = new ReleaseQuarantinedJob({ db, release, onError: (error) => void errors.push(error) });
  for (const carrierId of ["a", "b", "c"]) job.wake(carrierId);
  await expect.poll(() => judged).toEqual(["b", "c"]);
  expect(errors).toHaveLength(1);
});

test("other processes' changes are looked for, however often this process is woken", async () => {
  await using db = openDatabase({ url: NOWHERE });
  const errors: unknown[] = [];
  const onError = (error: unknown) => void errors.push(error);
  await using job = new ReleaseQuarantinedJob({ db, release: async () => 0, intervalMs: 50, onError });
  const waking = setInterval(() => job.wake("a"), 5);
  try {
    await expect.poll(() => errors.length).toBeGreaterThan(0);
  } finally {
    clearInterval(waking);
  }
});
