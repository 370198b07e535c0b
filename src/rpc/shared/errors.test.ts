import { readFile } from "node:fs/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { type ErrorReason, fieldViolations, invalidArgument, TandemError } from "../../domain/errors.ts";
import { digitsOf } from "../../domain/privacy/masking.ts";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { ErrorReason as ProtoErrorReason } from "../../gen/tandem/type/v1/error_reason_pb.js";
import { completeError, serviceUnknown, toConnectError } from "./errors.ts";

const reasons = Object.keys(ProtoErrorReason).filter(
  (name) => /^[A-Z]/.test(name) && name !== "UNSPECIFIED",
) as ErrorReason[];

test("every reason has the status code that the contract's comment begins with", async () => {
  const proto = await readFile(new URL("../../../proto/tandem/type/v1/error_reason.proto", import.meta.url), "utf8");
  const promised = new Map(
    [...proto.matchAll(/\/\/ ([A-Z_]+)\. [^\n]*\n(?:\s*\/\/[^\n]*\n)*\s*ERROR_REASON_([A-Z_]+) = /g)].map(
      ([, code, reason]) => [reason, code],
    ),
  );
  const kept = new Map(
    reasons
      .filter((reason) => promised.has(reason))
      .map((reason) => [reason, codeName(toConnectError(new TandemError(reason, "why"), undefined, fail).code)]),
  );
  expect(kept).toEqual(promised);
  // Those that are never an error of a call have no code in their comment.
  expect(reasons.filter((reason) => !promised.has(reason))).toEqual(["RECORD_REFUSED", "RECORD_QUARANTINED"]);
});

test("an error carries exactly one ErrorInfo, with its reason, domain and metadata", () => {
  const error = toConnectError(new TandemError("CURSOR_EXPIRED", "gone", { earliest_sequence: "17" }), undefined, fail);
  expect(error.findDetails(ErrorInfoSchema)).toMatchObject([
    { reason: "CURSOR_EXPIRED", domain: "tandem", metadata: { earliest_sequence: "17" } },
  ]);
  expect(error.rawMessage).toBe("gone");
});

test("every field at fault is named in BadRequest", () => {
  const error = toConnectError(
    fieldViolations([
      { field: "a", description: "missing" },
      { field: "b[3].c", description: "too long" },
    ]),
    undefined,
    fail,
  );
  expect(error.code).toBe(Code.InvalidArgument);
  expect(error.findDetails(BadRequestSchema)).toMatchObject([
    { fieldViolations: [{ field: "a" }, { field: "b[3].c" }] },
  ]);
  expect(error.findDetails(ErrorInfoSchema)).toMatchObject([{ metadata: { field: "a" } }]);
  expect(error.rawMessage).toBe("a: missing; b[3].c: too long");
});

test("exactly what may be retried says when, and the thrower may say otherwise", () => {
  const retried = reasons.filter((reason) => {
    const error = toConnectError(new TandemError(reason, "why"), undefined, fail);
    const infos = error.findDetails(RetryInfoSchema);
    if (error.code === Code.Unavailable) expect(infos, reason).toHaveLength(1);
    return infos.length === 1;
  });
  expect(retried.sort()).toEqual([
    "CANCELLED",
    "CREDENTIAL_EXPIRED",
    "CURSOR_AHEAD_OF_HEAD",
    "DEADLINE_EXCEEDED",
    "DRAINING",
    "INTERNAL",
    "RATE_LIMITED",
    "SLOW_CONSUMER",
    "STORE_UNAVAILABLE",
    "STREAM_IDLE",
    "STREAM_MAX_AGE",
    "TOO_MANY_STREAMS",
  ]);
  const slow = toConnectError(new TandemError("DRAINING", "why", {}, { retryAfterMs: 2_500 }), undefined, fail);
  expect(slow.findDetails(RetryInfoSchema)).toMatchObject([{ retryDelay: { seconds: 2n, nanos: 500_000_000 } }]);
  expect(toConnectError(invalidArgument("a", "b"), undefined, fail).findDetails(RetryInfoSchema)).toEqual([]);
});

test("an unforeseen error tells the client a fault id and nothing else", () => {
  const reported: [string, unknown][] = [];
  const cause = new Error("SELECT secret FROM vault failed");
  const error = toConnectError(cause, undefined, (id, fault) => reported.push([id, fault]));
  const [[id, fault] = []] = reported;
  expect(fault).toBe(cause);
  expect(error.code).toBe(Code.Internal);
  expect(error.rawMessage).toBe(`internal error; fault id ${id}`);
  expect(error.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: "INTERNAL", metadata: { fault_id: id } }]);
});

test("a database that is away is UNAVAILABLE, not a fault", () => {
  for (const cause of [
    Object.assign(new Error("terminating connection"), { code: "57P01" }),
    Object.assign(new Error("refused"), { code: "ECONNREFUSED" }),
  ]) {
    const error = toConnectError(cause, undefined, fail);
    expect(error.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: "STORE_UNAVAILABLE" }]);
    expect(error.rawMessage).not.toContain(cause.message);
  }
});

test("a connection that broke while an answer was written is the client's leaving, not a fault", () => {
  for (const code of ["ERR_HTTP2_INVALID_STREAM", "ERR_STREAM_DESTROYED"]) {
    const broken = Object.assign(new Error("The stream has been destroyed"), { code });
    const error = toConnectError(broken, new AbortController().signal, fail);
    expect(error.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: "CANCELLED" }]);
  }
});

test("what a handler throws because its call was aborted is the abort's reason, not a fault", () => {
  const gone = new AbortController();
  gone.abort();
  const abortError = new DOMException("This operation was aborted", "AbortError");
  expect(reasonOf(toConnectError(abortError, gone.signal, fail))).toBe("CANCELLED");
  expect(reasonOf(toConnectError(gone.signal.reason, gone.signal, fail))).toBe("CANCELLED");

  const late = AbortSignal.abort(new ConnectError("the operation timed out", Code.DeadlineExceeded));
  expect(reasonOf(toConnectError(abortError, late, fail))).toBe("DEADLINE_EXCEEDED");

  const draining = AbortSignal.abort(toConnectError(new TandemError("DRAINING", "later"), undefined, fail));
  expect(reasonOf(toConnectError(abortError, draining, fail))).toBe("DRAINING");

  const faults: string[] = [];
  toConnectError(new TypeError("a real fault, by chance after the abort"), gone.signal, (id) => faults.push(id));
  expect(faults).toHaveLength(1);
});

test("Connect's own errors get a reason in place, and its texts about server options stay inside", () => {
  const cases: [ConnectError, string, Code][] = [
    [
      new ConnectError("message size is larger than configured readMaxBytes 4096", Code.ResourceExhausted),
      "MESSAGE_TOO_LARGE",
      Code.ResourceExhausted,
    ],
    [new ConnectError("parse binary: illegal tag", Code.Internal), "INVALID_ARGUMENT", Code.InvalidArgument],
    [
      new ConnectError("cannot decode message x from JSON", Code.InvalidArgument),
      "INVALID_ARGUMENT",
      Code.InvalidArgument,
    ],
    [new ConnectError("x.Y is not implemented", Code.Unimplemented), "UNIMPLEMENTED", Code.Unimplemented],
    [new ConnectError("http/2 stream closed", Code.Canceled), "CANCELLED", Code.Canceled],
    [new ConnectError("aborted", Code.Aborted), "CANCELLED", Code.Canceled],
  ];
  for (const [error, reason, code] of cases) {
    completeError(error, fail);
    expect([reasonOf(error), error.code]).toEqual([reason, code]);
    expect(error.message).not.toContain("readMaxBytes");
  }
  const faults: string[] = [];
  const error = new ConnectError("message size 9 is larger than configured writeMaxBytes 8", Code.ResourceExhausted);
  completeError(error, (id) => faults.push(id));
  expect([reasonOf(error), faults.length]).toEqual(["INTERNAL", 1]);
});

test("an error that has its ErrorInfo is left alone", () => {
  const error = serviceUnknown("x");
  completeError(error, fail);
  expect(error.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: "SERVICE_UNKNOWN", domain: "grpc.health.v1" }]);
  expect(error.code).toBe(Code.NotFound);
});

function reasonOf(error: ConnectError): string | undefined {
  const infos = error.findDetails(ErrorInfoSchema);
  expect(infos).toHaveLength(1);
  return infos[0]?.reason;
}

function fail(_id: string, error: unknown): never {
  throw new Error("this is no fault", { cause: error });
}

/** `Code.InvalidArgument` as gRPC writes it, `INVALID_ARGUMENT`. */
function codeName(code: Code): string {
  const name = Code[code].replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
  return name === "CANCELED" ? "CANCELLED" : name;
}

test("texts that come back are cut to what headers hold, and have no halves of characters", () => {
  const long = "x".repeat(70_000);
  const violations = Array.from({ length: 1_000 }, (_, index) => ({
    field: `items[${index}].${long}`,
    description: long,
  }));
  const error = toConnectError(fieldViolations(violations), undefined, fail);
  expect(JSON.stringify(error.findDetails(BadRequestSchema)).length).toBeLessThan(16_384);
  expect(error.rawMessage).toHaveLength(500);
  const half = toConnectError(
    new TandemError("RECORD_NOT_FOUND", "no \ud800", { record_id: "\udc00" }),
    undefined,
    fail,
  );
  expect([half.rawMessage, half.findDetails(ErrorInfoSchema)[0]?.metadata["record_id"]]).toEqual([
    "no \ufffd",
    "\ufffd",
  ]);
  expect(JSON.stringify(serviceUnknown(long).findDetails(ErrorInfoSchema)).length).toBeLessThan(1_000);
});

test.each(["decompression failed", "received compressed envelope, but do not know how to decompress"])(
  "a request that cannot be read is no fault: %s",
  (message) => {
    const error = toConnectError(new ConnectError(message, Code.Internal), undefined, fail);
    expect(error.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: "INVALID_ARGUMENT" }]);
  },
);

test("a number comes back in no part of an error, however it was written, and what Tandem counts does", () => {
  const spellings = [
    "+4533123456",
    "004533123456",
    "4533123456",
    "33 12 34 56",
    "33\u00a012\u00a034\u00a056",
    "\uff13\uff13\uff11\uff12\uff13\uff14\uff15\uff16",
  ];
  for (const number of spellings) {
    for (const name of ["request_id", "record_id", "call_id", "upload_id", "phone_number", "carrier_id", "hold_id"]) {
      const violations = [{ field: `items.${number}`, description: `${number} is wrong` }];
      const thrown = new TandemError(
        "INVALID_ARGUMENT",
        `no ${number}`,
        { [name]: number },
        { fieldViolations: violations },
      );
      const error = toConnectError(thrown, undefined, fail);
      const said = [
        error.message,
        error.findDetails(ErrorInfoSchema)[0]?.metadata,
        error.findDetails(BadRequestSchema),
      ];
      expect(digitsOf(JSON.stringify(said)), JSON.stringify(said)).not.toContain("33123456");
    }
  }
  const counted = new TandemError("CURSOR_EXPIRED", "gone: from 12345678 on", { earliest_sequence: "12345678" });
  const error = toConnectError(counted, undefined, fail);
  expect(error.rawMessage).toBe("gone: from 12345678 on");
  expect(error.findDetails(ErrorInfoSchema)[0]?.metadata).toEqual({ earliest_sequence: "12345678" });
  const id = "c98068fa-2bfc-412a-836a-764421714129";
  const missing = toConnectError(new TandemError("HOLD_NOT_FOUND", `no ${id}`, { hold_id: id }), undefined, fail);
  expect([missing.rawMessage, missing.findDetails(ErrorInfoSchema)[0]?.metadata["hold_id"]]).toEqual([`no ${id}`, id]);
});

test("the range that is in the way is shown whole by RANGE_TAKEN only, and no other number beside it is", () => {
  const metadata = { carrier_id: "bravo", prefix: "+4563000" };
  const message = "bravo's +4563000 is in the way, says +4533123456; so does 4533123456";
  const told = (reason: ErrorReason) => toConnectError(new TandemError(reason, message, metadata), undefined, fail);
  const taken = told("RANGE_TAKEN");
  expect(taken.findDetails(ErrorInfoSchema)[0]?.metadata).toEqual(metadata);
  expect(taken.rawMessage).toBe("bravo's +4563000 is in the way, says +4533123***; so does 4533123***");
  const other = told("CARRIER_NOT_FOUND");
  expect(other.findDetails(ErrorInfoSchema)[0]?.metadata).toEqual({ ...metadata, prefix: "+4563***" });
  expect(other.rawMessage).toContain("+4563***");
});
