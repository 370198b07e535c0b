import { createLocalJWKSet, exportJWK, generateKeyPair, type JSONWebKeySet } from "jose";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { TokenKeys } from "./token-keys.ts";

const TIMING = { maxAgeMs: 600_000, cooldownMs: 10_000 };
const HOUR_MS = 3_600_000;
/** A token of which only the header is looked at. */
const NO_TOKEN = { payload: "", signature: "" };

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date", "performance"] }));
afterEach(() => void vi.useRealTimers());

test("a clock that steps back neither keeps out an issuer's new key nor lets in the old one for longer", async () => {
  const [old, young] = [await keySet("old"), await keySet("young")];
  let published = old;
  let readings = 0;
  const load = async () => {
    readings += 1;
    return published;
  };
  const keys = new TokenKeys({ load, ...TIMING });
  expect(await isKnown(keys, "old")).toBe(true);
  expect(await isKnown(keys, "young")).toBe(false);
  expect(readings).toBe(2);
  vi.setSystemTime(Date.now() - HOUR_MS);
  published = young;
  vi.advanceTimersByTime(TIMING.cooldownMs);
  expect(await isKnown(keys, "young")).toBe(true);
  expect(await isKnown(keys, "old")).toBe(false);

  published = old;
  vi.setSystemTime(Date.now() - HOUR_MS);
  vi.advanceTimersByTime(TIMING.maxAgeMs);
  expect(await isKnown(keys, "young")).toBe(false);
  expect(await isKnown(keys, "old")).toBe(true);
});

test("who asks for the keys during a reading gets them as they are after the ask", async () => {
  const source = await slowSource("old", "young");
  const keys = new TokenKeys({ load: source.load, ...TIMING });
  const [first, second, third] = [keys.refresh(), keys.refresh(), keys.refresh()];
  expect(source.readings).toHaveLength(1);
  source.answer();
  await first;
  source.answer();
  await Promise.all([second, third]);
  expect(source.readings).toHaveLength(2);
  expect(await isKnown(keys, "young")).toBe(true);
});

test("a token whose key is being read is not refused because another token has asked for it", async () => {
  const source = await slowSource("old", "young");
  const keys = new TokenKeys({ load: source.load, initial: await keySet("old"), ...TIMING });
  const found = [isKnown(keys, "young"), isKnown(keys, "young")];
  await expect.poll(() => source.readings.length).toBe(1);
  source.answer("young");
  expect(await Promise.all(found)).toEqual([true, true]);
  expect(source.readings).toHaveLength(1);
});

test("keys are as old as the reading that brought them is since it began", async () => {
  const source = await slowSource("old", "young");
  const keys = new TokenKeys({ load: source.load, ...TIMING });
  const first = keys.refresh();
  vi.advanceTimersByTime(TIMING.maxAgeMs);
  source.answer();
  await first;
  const fresh = keys.keepFresh();
  expect(source.readings).toHaveLength(2);
  source.answer();
  await fresh;
  expect(await isKnown(keys, "young")).toBe(true);
});

test("while the last reading has failed, a token of an unknown key is told to come again when the keys are read again; the known keys stand", async () => {
  const [old, young] = [await keySet("old"), await keySet("young")];
  let published: JSONWebKeySet | undefined;
  let readings = 0;
  const load = async () => {
    readings += 1;
    if (!published) throw new Error("the source is away");
    return published;
  };
  const keys = new TokenKeys({ load, initial: old, ...TIMING });
  expect(await whyUnknown(keys, "young")).toMatchObject({ reason: "STORE_UNAVAILABLE" });
  vi.advanceTimersByTime(4_000);
  const again = { reason: "STORE_UNAVAILABLE", retryAfterMs: TIMING.cooldownMs - 4_000 };
  expect(await whyUnknown(keys, "young")).toMatchObject(again);
  expect(await isKnown(keys, "old")).toBe(true);
  expect(readings).toBe(1);
  vi.advanceTimersByTime(again.retryAfterMs);
  published = young;
  expect(await isKnown(keys, "young")).toBe(true);
  // Now it is known that there is no such key.
  expect(await whyUnknown(keys, "invented")).toMatchObject({ code: "ERR_JWKS_NO_MATCHING_KEY" });
});

test("a reading that fails because keys are old says nothing of a key that is unknown since", async () => {
  const source = await slowSource("old", "young");
  const keys = new TokenKeys({ load: source.load, initial: await keySet("old"), ...TIMING });
  vi.advanceTimersByTime(TIMING.maxAgeMs);
  const found = whyUnknown(keys, "young");
  await expect.poll(() => source.readings.length).toBe(1);
  source.fail();
  await expect.poll(() => source.readings.length).toBe(2);
  source.fail();
  expect(await found).toMatchObject({ reason: "STORE_UNAVAILABLE" });
  expect(await whyUnknown(keys, "young")).toMatchObject({ reason: "STORE_UNAVAILABLE" });
});

async function keySet(kid: string): Promise<JSONWebKeySet> {
  const { publicKey } = await generateKeyPair("ES256");
  const set = { keys: [{ ...(await exportJWK(publicKey)), kid, alg: "ES256" }] };
  createLocalJWKSet(set);
  return set;
}

/**
 * A source that answers when it is told to: with the first set, then with the second, or with the
 * one that is named.
 */
async function slowSource(...kids: readonly string[]) {
  const sets = new Map(await Promise.all(kids.map(async (kid) => [kid, await keySet(kid)] as const)));
  const readings: PromiseWithResolvers<JSONWebKeySet>[] = [];
  let answered = 0;
  return {
    readings,
    load: () => {
      const reading = Promise.withResolvers<JSONWebKeySet>();
      readings.push(reading);
      return reading.promise;
    },
    answer: (kid?: string) => {
      const set = sets.get(kid ?? kids[answered] ?? "");
      if (set) readings[answered]?.resolve(set);
      answered += 1;
    },
    fail: () => {
      readings[answered]?.reject(new Error("the source is away"));
      answered += 1;
    },
  };
}

async function isKnown(keys: TokenKeys, kid: string): Promise<boolean> {
  return (await whyUnknown(keys, kid)) === undefined;
}

async function whyUnknown(keys: TokenKeys, kid: string): Promise<unknown> {
  try {
    await keys.find({ alg: "ES256", kid }, { ...NO_TOKEN, protected: "" });
    return undefined;
  } catch (error) {
    return error;
  }
}
