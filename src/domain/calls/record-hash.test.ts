import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { HashedContent, hashContent, hashText } from "./record-hash.ts";

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

test("a text hashes as its UTF-8, whatever was hashed before it", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.integer({ min: 0, max: 200_000 }), (text, lengthBefore) => {
      hashContent(SECRET, HashedContent.CDR, new Uint8Array(lengthBefore));
      expect(hashText(SECRET, HashedContent.CDR, text)).toBe(hashContent(SECRET, HashedContent.CDR, Buffer.from(text)));
    }),
    { numRuns: 50 },
  );
});

test("a hash depends on the secret and on the kind", () => {
  const hashes = Object.values(HashedContent).map((kind) => hashText(SECRET, kind, "same"));
  expect(new Set([...hashes, hashText(Buffer.alloc(32, 2), HashedContent.CDR, "same")]).size).toBe(6);
});
