import { expect, test } from "vitest";
import { auditedRequestId } from "./audited-request-id.ts";

const secret = Buffer.alloc(32, 7);

test.each([
  "c98068fa-2bfc-412a-836a-764421714129",
  "demo-create-nordlys-tele",
  "00112233445566778899aabbccddeeff",
  "2026-03-14T12:00:00Z",
  "01hf3z9k5qj7w8x2y4",
  "retry 7",
])("an ordinary id stays as it is: %s", (id) => {
  expect(auditedRequestId(secret, id)).toBe(id);
});

test.each([
  "+4533123456",
  "provision 33 12 34 56",
  "004533123456",
  "\uff13\uff13\uff11\uff12\uff13\uff14\uff15\uff16",
  "30000000",
  "1732888888123",
])("an id in which a number may be is kept as a keyed hash: %s", (id) => {
  const kept = auditedRequestId(secret, id);
  expect(kept).toMatch(/^hash:[0-9a-f]{32}$/);
  expect(auditedRequestId(secret, id)).toBe(kept);
  expect(auditedRequestId(Buffer.alloc(32, 8), id)).not.toBe(kept);
});
