import { expect, test } from "vitest";
import { forgetFarDeadline } from "./deadlines.ts";

test.each([
  ["grpc-timeout", "99999999H"],
  ["grpc-timeout", "597H"],
  ["connect-timeout-ms", "9999999999"],
  ["connect-timeout-ms", "2147483648"],
])("a deadline beyond what timers count is none: %s %s", (name, value) => {
  const headers = { [name]: value, te: "trailers" };
  forgetFarDeadline(headers);
  expect(headers).toEqual({ te: "trailers" });
});

test.each([
  ["grpc-timeout", "596H"],
  ["grpc-timeout", "99999999m"],
  ["grpc-timeout", "abc"],
  ["grpc-timeout", "123456789S"],
  ["connect-timeout-ms", "2147483647"],
  ["connect-timeout-ms", "-1"],
])("every other is left to be judged: %s %s", (name, value) => {
  const headers = { [name]: value };
  forgetFarDeadline(headers);
  expect(headers).toEqual({ [name]: value });
});
