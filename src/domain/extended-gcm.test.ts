import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { EXTENDED_GCM_OVERHEAD, ExtendedGcmKey } from "./extended-gcm.ts";

// The vectors of c2sp.org/XAES-256-GCM: one for each value of the bit that decides how the subkey
// is made.
test.each([
  [1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"],
  [3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"],
])("encrypts as the specification says, with key %i", (fill, context, expected) => {
  const nonce = Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWX");
  const key = new ExtendedGcmKey(Buffer.alloc(32, fill));
  const encrypted = key.encrypt(Buffer.from(context), Buffer.from("XAES-256-GCM"), nonce);
  expect(encrypted.toString("hex")).toBe(nonce.toString("hex") + expected);
});

test("what it encrypts comes back for the same key and context only, and unchanged only", () => {
  const key = new ExtendedGcmKey(randomBytes(32));
  const other = new ExtendedGcmKey(randomBytes(32));
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), fc.nat(), (context, message, at) => {
      const encrypted = key.encrypt(context, message);
      expect(encrypted).toHaveLength(message.length + EXTENDED_GCM_OVERHEAD);
      expect(key.decrypt(context, encrypted)).toEqual(Buffer.from(message));
      expect(key.decrypt(Buffer.concat([context, Buffer.from("x")]), encrypted)).toBeUndefined();
      expect(other.decrypt(context, encrypted)).toBeUndefined();
      expect(key.decrypt(context, encrypted.subarray(1))).toBeUndefined();
      const changed = Buffer.from(encrypted);
      changed.writeUInt8(changed.readUInt8(at % changed.length) ^ 1, at % changed.length);
      expect(key.decrypt(context, changed)).toBeUndefined();
    }),
  );
});
