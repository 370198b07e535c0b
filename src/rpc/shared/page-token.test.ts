import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Seals } from "../../domain/seals.ts";
import { decodePageToken, encodePageToken } from "./page-token.ts";

const key = (keyId: number) => ({ keyId, secret: randomBytes(32) });
const first = key(1);
const seals = new Seals([first], randomBytes(32));
const refused = expect.objectContaining({ reason: "PAGE_TOKEN_INVALID" });

test("a token comes back as it was made, for its own scope", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string()),
      fc.dictionary(fc.string(), fc.string({ maxLength: 20 }), { maxKeys: 5 }),
      async (scope, value) => {
        const own = Object.fromEntries(Object.entries(value).filter(([name]) => name !== "__proto__"));
        expect(await decodePageToken(seals, scope, encodePageToken(seals, scope, own))).toEqual(own);
      },
    ),
  );
});

test("no text asks for the first page", async () => {
  expect(await decodePageToken(seals, ["ListNumbers"], "")).toBeUndefined();
});

test("a token of another scope, purpose, installation or making is refused", async () => {
  const scope = ["ListNumbers", "a"];
  const token = encodePageToken(seals, scope, { after: "+4532123456" });
  for (const other of [["ListNumbers", "b"], ["ListNumbers"], ["ListNumbersa"], ["ListCarriers", "a"]])
    await expect(decodePageToken(seals, other, token)).rejects.toEqual(refused);
  const cursor = seals.seal("cursor", scope, Buffer.from("{}"));
  await expect(decodePageToken(seals, scope, cursor)).rejects.toEqual(refused);
  await expect(decodePageToken(new Seals([key(1)], randomBytes(32)), scope, token)).rejects.toEqual(refused);
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(fc.string(), fc.base64String(), fc.constant(`${token}=`), fc.constant(token.slice(1))),
      async (text) => {
        fc.pre(text !== token && text !== "");
        await expect(decodePageToken(seals, scope, text)).rejects.toEqual(refused);
      },
    ),
  );
});

test("a token opens for as long as its key is kept, and then asks for the first page", async () => {
  const rotated = new Seals([first, key(2)], randomBytes(32));
  const token = encodePageToken(seals, ["s"], { after: "x" });
  expect(await decodePageToken(rotated, ["s"], token)).toEqual({ after: "x" });
  rotated.replace([key(2)]);
  await expect(decodePageToken(rotated, ["s"], token)).rejects.toThrow("begin again at the first page");
});
