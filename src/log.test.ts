import { expect, test } from "vitest";
import { maskDigits, openLog } from "./log.ts";

test("no phone number or token reaches the log, wherever it was put", () => {
  const lines: string[] = [];
  const log = openLog("debug", (line) => lines.push(line));
  const cause = Object.assign(new Error("Key (phone_number)=(+4533123456) exists"), {
    code: "23505",
    detail: "+4533123456",
  });
  log.error({ err: new Error("cannot store 4533123456", { cause }), faultId: "f-1" }, "unexpected fault");
  log.info({ token: "abc.def.ghi", request: { authorization: "Bearer abc.def.ghi" } }, "hello");
  const text = lines.join("");
  expect(text).not.toContain("33123");
  expect(text).not.toContain("abc.def");
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({
    level: "error",
    faultId: "f-1",
    err: { cause: { code: "23505" } },
  });
});

test("keeps the last two digits of what may be a number, and leaves ids and line numbers alone", () => {
  expect(maskDigits("+4533123456 and 4533123456")).toBe("***56 and ***56");
  expect(maskDigits("file.ts:123:45, code 57P01, 10000 ms")).toBe("file.ts:123:45, code 57P01, 10000 ms");
});
