import fc from "fast-check";
import { expect, test } from "vitest";
import { addressGroup } from "./address-group.ts";
import { Buckets } from "./buckets.ts";

test("a key never gets more than its burst and what has flowed in since, and is told when there is enough", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ afterMs: fc.nat(500), amount: fc.integer({ min: 1, max: 20 }) }), { maxLength: 200 }),
      (asks) => {
        let nowMs = 0;
        let taken = 0;
        const buckets = new Buckets({ perSecond: 10, burst: 30, now: () => nowMs });
        for (const { afterMs, amount } of asks) {
          nowMs += afterMs;
          const waitMs = buckets.take("a", amount);
          if (waitMs === 0) taken += amount;
          expect(taken).toBeLessThanOrEqual(30 + nowMs / 100 + 1e-6);
          if (waitMs === 0) continue;
          nowMs += waitMs;
          expect(buckets.take("a", amount)).toBe(0);
          taken += amount;
        }
      },
    ),
  );
});

test("one key's spending is not another's, what is spent beyond is owed, and memory is bounded", () => {
  const buckets = new Buckets({ perSecond: 1, burst: 2, maxKeys: 100, now: () => 0 });
  buckets.spend("a", 5);
  expect(buckets.waitMs("a", 0)).toBe(3_000);
  expect(buckets.waitMs("b", 2)).toBe(0);
  for (let key = 0; key < 1_000; key += 1) buckets.spend(`k${key}`, 1);
  expect(buckets.size).toBe(100);
});

test("an IPv6 network is one address, and a mapped IPv4 address is itself", () => {
  expect(addressGroup("2001:db8:1:2:3:4:5:6")).toBe("2001:db8:1:2::/64");
  expect(addressGroup("2001:DB8:1:2::9")).toBe("2001:db8:1:2::/64");
  expect(addressGroup("::1")).toBe("0:0:0:0::/64");
  expect(addressGroup("fe80::1%eth0")).toBe("fe80:0:0:0::/64");
  expect(addressGroup("::ffff:192.0.2.7")).toBe("192.0.2.7");
  expect(addressGroup("192.0.2.7")).toBe("192.0.2.7");
  expect(addressGroup(undefined)).toBe("");
});
