import { expect, test } from "vitest";
import { digitsOf } from "./domain/privacy/masking.ts";
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

test("no number reaches the log in another spelling, in a message, or deep in a field", () => {
  const lines: string[] = [];
  const log = openLog("debug", (line) => lines.push(line));
  for (const number of [
    "+45 33 12 34 56",
    "004533123456",
    "4533123456",
    "33\u00a012\u00a034\u00a056",
    "\uff13\uff13123456",
  ]) {
    log.info({ requestId: number, request: { ids: [number] } }, `called ${number}`);
    log.error({ err: new Error(`no such number ${number}`) }, "failed");
  }
  for (const line of lines) {
    const { time: _, ...rest } = JSON.parse(line) as Record<string, unknown>;
    delete (rest["err"] as { stack?: string } | undefined)?.stack;
    expect(digitsOf(JSON.stringify(rest)), line).not.toContain("33123456");
  }
  log.info(
    { faultId: "c98068fa-2bfc-412a-836a-764421714129", durationMs: 12_345_678 },
    "at 2026-03-14T12:00:00.123456Z",
  );
  expect(lines.at(-1)).toContain("c98068fa-2bfc-412a-836a-764421714129");
  expect(lines.at(-1)).toContain("12345678");
  expect(lines.at(-1)).toContain("12:00:00.123456Z");
});
