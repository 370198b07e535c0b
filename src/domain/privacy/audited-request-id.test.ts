import { expect, test } from "vitest";
import { auditedRequestId } from "./audited-request-id.ts";

const secret = Buffer.alloc(32, 7);

test.each([
  "c98068fa-2bfc-412a-836a-76442a714129",
  "C98068FA-2BFC-412A-A36A-76442A714129",
  "demo-create-nordlys-tele",
  "closing-2026-03",
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
  "c98068fa-2bfc-412a-836a-764421714129",
  "00000000-0000-4000-8000-004533123456",
  "00000000-0000-1000-8000-00ab33123c56",
  "33123456-aaaa-5aaa-8aaa-aaaaaaaaaaaa",
  "aaaa4533-1234-5600-caaa-aaaaaaaaaaaa",
  "x c98068fa-2bfc-412a-836a-76442a714129 33",
  "deadbeefdeadbeefdeadbeef4533123456",
  "00112233445566778899aabbccddeeff",
  "2026-03-14T12:00:00Z",
  "45,33,12,34,56",
  "33:12:34:56",
  "33;12;34;56",
  "33*12*34*56",
  "33 | 12 / 34 # 56",
  "33------12------34------56",
  "\u2488\u2488\u2488\u2488\u2488\u2488\u2488",
])("an id in which a number may be is kept as a keyed hash: %s", (id) => {
  const kept = auditedRequestId(secret, id);
  expect(kept).toMatch(/^hash:[0-9a-f]{32}$/);
  expect(auditedRequestId(secret, id)).toBe(kept);
  expect(auditedRequestId(Buffer.alloc(32, 8), id)).not.toBe(kept);
});
