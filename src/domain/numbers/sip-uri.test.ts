import fc from "fast-check";
import { expect, test } from "vitest";
import { findSipUriProblem, isDnsName, parseSipUri, type SipUri, sipUriOfNumber } from "./sip-uri.ts";

const e164 = fc.stringMatching(/^\+[1-9][0-9]{1,14}$/);
const label = fc.stringMatching(/^[a-z]([a-z0-9-]{0,10}[a-z0-9])?$/);
const domain = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));

test("the URI made for a number is one that a directory takes", () => {
  fc.assert(
    fc.property(e164, domain, (number, host) => {
      const uri = sipUriOfNumber(number, host);
      expect(findSipUriProblem(uri, number)).toBeUndefined();
      expect(parseSipUri(uri)).toMatchObject({
        scheme: "sip",
        user: number,
        host,
        parameters: new Map([["user", "phone"]]),
      });
      expect(isDnsName(host)).toBe(true);
    }),
  );
});

test("a URI is the same after being parsed and written", () => {
  const token = fc.stringMatching(/^[a-z0-9\-_.!~*'()]{1,8}$/);
  const parts = fc.record(
    {
      scheme: fc.constantFrom("sip", "sips"),
      user: fc.stringMatching(/^([A-Za-z0-9+;?&=/,$-]|%[0-9A-F]{2}){1,12}$/),
      host: fc.oneof(
        domain,
        fc.ipV4(),
        fc
          .ipV6()
          .filter((ip) => !ip.includes("."))
          .map((ip) => `[${ip}]`),
      ),
      port: fc.integer({ min: 0, max: 65_535 }),
      parameters: fc.dictionary(token, fc.option(token), { noNullPrototype: true, maxKeys: 4 }),
      headers: fc.dictionary(token, token, { noNullPrototype: true, maxKeys: 3 }),
    },
    { requiredKeys: ["scheme", "host", "parameters", "headers"] },
  );
  fc.assert(
    fc.property(parts, ({ parameters, headers, ...rest }) => {
      const uri = {
        ...rest,
        parameters: new Map(Object.entries(parameters)),
        headers: new Map(Object.entries(headers)),
      };
      expect(parseSipUri(formatSipUri(uri as never))).toEqual(uri);
    }),
  );
});

test("any text is parsed or refused in good time, and never throws", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
      for (const candidate of [text, `sip:${text}`, `sip:a@${text}`, `sip:a@b.example;${text}`]) parseSipUri(candidate);
    }),
  );
  // As long as may be, and often: what took time that grows faster than the length would not come
  // to its end.
  const longest = [
    `sip:${"a;".repeat(1_000)}`,
    `sip:a@b${";a=b".repeat(500)}`,
    `sip:${".".repeat(2_000)}`,
    `sip:a@${"a-".repeat(1_000)}`,
  ];
  for (let round = 0; round < 300; round++) for (const text of longest) parseSipUri(text);
});

test("the forms of RFC 3261, section 19.1.3, are URIs", () => {
  for (const text of [
    "sip:alice@atlanta.com",
    "sip:alice:secretword@atlanta.com;transport=tcp",
    "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
    "sip:+1-212-555-1212:1234@gateway.com;user=phone",
    "sips:1212@gateway.com",
    "sip:alice@192.0.2.4",
    "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
    "sip:alice;day=tuesday@atlanta.com",
    "SIP:alice@AtLanTa.CoM;Transport=udp",
    "sip:a@[2001:db8::1]:5061",
  ]) {
    expect(parseSipUri(text), text).toBeDefined();
  }
});

test("what the grammar does not have is no URI", () => {
  for (const text of [
    "",
    "sip:",
    "sip:@a.example",
    "sip:a b@c.example",
    "sip:a@b.example:",
    "sip:a@b.example:65536",
    "sip:a@b.example;",
    "sip:a@b.example;x=1;X=2",
    "sip:a@b_c.example",
    "sip:a@-b.example",
    "sip:a@1.2.3.256",
    "sip:a@[::1%eth0]",
    "sip:a@[nonsense]",
    "sip:a%2@b.example",
    "sip:a@b@c.example",
    "tel:+4532123456",
    "sip:a@b.example\r\nVia: x",
    `sip:${"a".repeat(3_000)}@b.example`,
  ]) {
    expect(parseSipUri(text), text).toBeUndefined();
  }
});

test("an assignee's URI names the number, and no person, password, header or method", () => {
  const number = "+4532123456";
  for (const text of [
    "sip:+4532123456@a.example",
    "sips:+4532123456@a.example:5061;transport=tls",
    "sip:+4532123456@10.0.0.1;user=phone",
  ]) {
    expect(findSipUriProblem(text, number), text).toBeUndefined();
  }
  for (const text of [
    "sip:alice@a.example",
    "sip:4532123456@a.example",
    "sip:%2B4532123456@a.example",
    "sip:+4532123456;ext=1@a.example",
    "sip:+4532123456:secret@a.example",
    "sip:+4532123456@a.example?Subject=x",
    "sip:+4532123456@a.example;method=BYE",
    "sip:a.example",
    "tel:+4532123456",
  ]) {
    expect(findSipUriProblem(text, number), text).toBeDefined();
  }
});

/** Reverses `parseSipUri`, except the case of scheme and parameter names. */
function formatSipUri(uri: SipUri): string {
  const password = uri.password === undefined ? "" : `:${uri.password}`;
  const userinfo = uri.user === undefined ? "" : `${uri.user}${password}@`;
  const port = uri.port === undefined ? "" : `:${uri.port}`;
  const parameters = [...uri.parameters].map(([name, value]) => (value === null ? `;${name}` : `;${name}=${value}`));
  const headers = [...uri.headers].map(([name, value]) => `${name}=${value}`).join("&");
  return `${uri.scheme}:${userinfo}${uri.host}${port}${parameters.join("")}${headers === "" ? "" : `?${headers}`}`;
}
