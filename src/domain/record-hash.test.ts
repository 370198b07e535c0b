import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { HashedContent, hashContent } from "./record-hash.ts";

const SECRET = Buffer.alloc(32, 1);

test("a hash is the first 8 bytes of SHA-256 over secret, version, kind and content, signed", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1_000 }), (content) => {
      const digest = createHash("sha256")
        .update(SECRET)
        .update(Buffer.of(1, HashedContent.CDR))
        .update(content)
        .digest();
      expect(hashContent(SECRET, HashedContent.CDR, content)).toBe(digest.readBigInt64BE(0));
    }),
  );
});

test("a hash does not depend on what was hashed before it", () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.integer({ min: 0, max: 200_000 }), (content, lengthBefore) => {
      const before = hashContent(SECRET, HashedContent.CDR, content);
      hashContent(SECRET, HashedContent.CDR, new Uint8Array(lengthBefore));
      expect(hashContent(SECRET, HashedContent.CDR, content)).toBe(before);
    }),
    { numRuns: 50 },
  );
});

test("a hash depends on the secret and on the kind", () => {
  const content = Buffer.from("same");
  const hashes = Object.values(HashedContent).map((kind) => hashContent(SECRET, kind, content));
  expect(new Set([...hashes, hashContent(Buffer.alloc(32, 2), HashedContent.CDR, content)]).size).toBe(5);
});
