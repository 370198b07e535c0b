import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodePageToken, encodePageToken } from "./page-token.ts";

const secret = randomBytes(32);

test("a token comes back as it was made, for its own scope", () => {
  fc.assert(
    fc.property(
      fc.array(fc.string()),
      fc.dictionary(fc.string(), fc.string({ maxLength: 20 }), { maxKeys: 5 }),
      (scope, value) => {
        const own = Object.fromEntries(Object.entries(value).filter(([key]) => key !== "__proto__"));
        expect(decodePageToken(secret, scope, encodePageToken(secret, scope, own))).toEqual(own);
      },
    ),
  );
});

test("no text asks for the first page", () => {
  expect(decodePageToken(secret, ["ListNumbers"], "")).toBeUndefined();
});

test("a token of another scope, installation or making is refused", () => {
  const token = encodePageToken(secret, ["ListNumbers", "a"], { after: "+4532123456" });
  const refused = expect.objectContaining({ reason: "PAGE_TOKEN_INVALID" });
  for (const scope of [["ListNumbers", "b"], ["ListNumbers"], ["ListNumbersa"], ["ListCarriers", "a"]]) {
    expect(() => decodePageToken(secret, scope, token)).toThrow(refused);
  }
  expect(() => decodePageToken(randomBytes(32), ["ListNumbers", "a"], token)).toThrow(refused);
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.base64String(), fc.constant(`${token}=`), fc.constant(token.slice(1))),
      (text) => {
        fc.pre(text !== token && text !== "");
        expect(() => decodePageToken(secret, ["ListNumbers", "a"], text)).toThrow(refused);
      },
    ),
  );
});
