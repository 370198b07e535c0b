import { expect, test } from "vitest";
import { findNumberProblem } from "./number-item.ts";
import { findSipUriProblem } from "./sip-uri.ts";

test("a number of 16 digits is refused with what to give in its place (case 30)", () => {
  expect(findNumberProblem("+4989999981234567")).toMatchObject({
    reason: "NUMBER_INVALID",
    message: expect.stringContaining("over 15 digits"),
  });
});

test("a number with an extension is refused with what to give in its place (case 34)", () => {
  expect(findNumberProblem("+12025550142;ext=1001")).toMatchObject({
    reason: "NUMBER_INVALID",
    message: expect.stringContaining("give the number alone"),
  });
});

test.each([";ext=1001", ";tgrp=tg55;trunk-context=carrier.example"])(
  "a SIP URI whose number has %s behind it is refused for that (case 34)",
  (parameters) => {
    const problem = findSipUriProblem(`sip:+12025550142${parameters}@sip.example.com;user=phone`, "+12025550142");
    expect(problem).toContain("parameters behind the number");
    expect(findSipUriProblem("sip:+12025550142@sip.example.com;user=phone", "+12025550142")).toBeUndefined();
  },
);
