import { expect, test } from "vitest";
import { disclosedFilter } from "./disclosed-filter.ts";

const hash = (number: string) => `hash(${number.length})`;

test("a filter is canonical JSON, without what only pages", () => {
  const request = { page_size: 10, filter: { trunk_id: "t", direction: "DIRECTION_OUTBOUND" }, start: { cursor: "x" } };
  expect(disclosedFilter(request, hash)).toEqual({
    json: '{"filter":{"direction":"DIRECTION_OUTBOUND","trunk_id":"t"}}',
    hasNumber: false,
  });
});

test("every number in it is a hash: in its own fields whatever it looks like, elsewhere by its plus sign", () => {
  const request = {
    phone_number: "4533112200",
    filter: { phone_numbers: ["+4533112200"], dialog_call_id: "a+4533112200@b" },
  };
  const { json, hasNumber } = disclosedFilter(request, hash);
  expect(json).not.toContain("33112200");
  expect(json).toBe(
    '{"filter":{"dialog_call_id":"ahash(11)@b","phone_numbers":["hash(11)"]},"phone_number":"hash(10)"}',
  );
  expect(hasNumber).toBe(true);
});

test("names of trunks and cases are masked as words, for they are often numbers without a plus sign", () => {
  const request = {
    filter: { trunk_id: "33112200" },
    trunk_ids: ["tg 33 11 22 00", "tg-+4533112200", "north"],
    case_reference: "DSR-17 of 33112200",
    verified_by: "desk, on 33112200",
  };
  expect(JSON.parse(disclosedFilter(request, hash).json)).toEqual({
    case_reference: "DSR-17 of 33112***",
    filter: { trunk_id: "33112***" },
    trunk_ids: ["tg 33 11 2* **", "tg-hash(11)", "north"],
    verified_by: "desk, on 33112***",
  });
});

test("lists that would make it longer than 4,096 characters are cut, and say how long they were", () => {
  const customers = Array.from({ length: 100 }, (_, index) => `${index}`.padStart(64, "c"));
  const { json } = disclosedFilter({ filter: { customer_ids: customers } }, hash);
  expect(json.length).toBeLessThanOrEqual(4_096);
  expect(JSON.parse(json).filter.customer_ids).toEqual([...customers.slice(0, 10), "and 90 more"]);
});
