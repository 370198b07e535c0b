import fc from "fast-check";
import { expect, test } from "vitest";
import { NumberState } from "../../gen/tandem/type/v1/phone_number_pb.js";
import {
  type AssignmentRequest,
  arrive,
  assign,
  findPortProblem,
  periodsMoved,
  provision,
  release,
  type TimelineChange,
  unassign,
} from "./number-changes.ts";
import {
  endTimeline,
  FOREVER,
  findDuePeriods,
  isSameTimeline,
  type NumberAttributes,
  type NumberTimeline,
  periodAt,
  rowAt,
  spanOfChange,
  stampTimeline,
  timelineUnderPort,
} from "./number-state.ts";

const key = { carrierId: "alpha", phoneNumber: "+4532123456" };
const attributes: NumberAttributes = { numberType: 1, usages: [1, 2], capabilities: [1, 2], countryCode: "DK" };

function request(customerId: string, more: Partial<AssignmentRequest> = {}): AssignmentRequest {
  return {
    customerId,
    assigneeKind: 1,
    activationState: 2,
    keepLocation: false,
    makeSipUri: () => "sip:made@a.example",
    ...more,
  };
}

function done(change: TimelineChange): NumberTimeline {
  if ("problem" in change)
    throw new Error(`${change.problem.reason} ${change.problem.field}: ${change.problem.message}`);
  return change.timeline;
}

function reasonOf(change: TimelineChange): string | undefined {
  return "problem" in change ? `${change.problem.reason} ${change.problem.field}`.trim() : undefined;
}

/** What a timeline says, in short: P or a customer, from when to when. */
function show(timeline: NumberTimeline): string {
  const end = (time: bigint) => (time === FOREVER ? "" : String(time));
  return timeline
    .map((p) => `${p.assignment?.customerId ?? "P"}[${p.start},${end(p.end)})${p.endedAs ?? ""}`)
    .join(" ");
}

const held = done(provision([], attributes, 100n));

test("a number is provisioned, assigned, unassigned and released, each from its own moment on", () => {
  const assigned = done(assign(held, request("c1"), 200n));
  expect(show(assigned)).toBe("P[100,200) c1[200,)");
  const free = done(unassign(assigned, undefined, 300n));
  expect(show(free)).toBe("P[100,200) c1[200,300) P[300,)");
  const released = done(release(free, 400n));
  expect(show(released)).toBe("P[100,200) c1[200,300) P[300,400)3");
  expect(show(done(provision(released, attributes, 500n)))).toBe("P[100,200) c1[200,300) P[300,400)3 P[500,)");
});

test("the row is the timeline at a moment, with the end that a schedule will bring", () => {
  const planned = done(assign(held, request("c1", { effectiveTime: 500n }), 200n));
  expect(show(planned)).toBe("P[100,500) c1[500,)");
  expect(rowAt(key, planned, 200n)).toMatchObject({
    state: NumberState.PROVISIONED,
    effectiveStart: 100n,
    effectiveEnd: 500n,
  });
  expect(rowAt(key, planned, 500n)).toMatchObject({
    state: NumberState.ASSIGNED,
    customerId: "c1",
    sipUri: "sip:made@a.example",
    effectiveStart: 500n,
  });
  expect(rowAt(key, planned, 500n)).not.toHaveProperty("effectiveEnd");
  expect(rowAt(key, planned, 99n)).toBeUndefined();
});

test("an assignment for the past moves the start, unless another customer was there since", () => {
  expect(show(done(assign(held, request("c1", { effectiveTime: 150n }), 300n)))).toBe("P[100,150) c1[150,)");
  const once = done(unassign(done(assign(held, request("c1"), 200n)), undefined, 300n));
  expect(show(done(assign(once, request("c2", { effectiveTime: 300n }), 400n)))).toBe(
    "P[100,200) c1[200,300) c2[300,)",
  );
  expect(reasonOf(assign(once, request("c2", { effectiveTime: 299n }), 400n))).toBe(
    "NUMBER_STATE_CONFLICT customer_id",
  );
  expect(reasonOf(assign(held, request("c1", { effectiveTime: 99n }), 300n))).toBe("INVALID_ARGUMENT effective_time");
});

test("an assignment that stands takes new values in place, and a given start corrects it both ways", () => {
  const assigned = done(assign(held, request("c1"), 200n));
  const failed = done(assign(assigned, request("c1", { activationState: 3 }), 300n));
  expect(show(failed)).toBe("P[100,200) c1[200,)");
  expect(rowAt(key, failed, 300n)).toMatchObject({ activationState: 3, effectiveStart: 200n });
  expect(show(done(assign(assigned, request("c1", { effectiveTime: 150n }), 300n)))).toBe("P[100,150) c1[150,)");
  expect(show(done(assign(assigned, request("c1", { effectiveTime: 250n }), 300n)))).toBe("P[100,250) c1[250,)");
  expect(reasonOf(assign(assigned, request("c2"), 300n))).toBe("NUMBER_STATE_CONFLICT customer_id");
});

test("a new scheduled assignment replaces the one before, and cannot begin while the number is assigned", () => {
  const planned = done(assign(held, request("c1", { effectiveTime: 500n }), 200n));
  expect(show(done(assign(planned, request("c2", { effectiveTime: 600n }), 300n)))).toBe("P[100,600) c2[600,)");
  expect(show(done(assign(planned, request("c2", { effectiveTime: 400n }), 300n)))).toBe("P[100,400) c2[400,)");
  expect(show(done(assign(planned, request("c2"), 300n)))).toBe("P[100,300) c2[300,)");
  const assigned = done(assign(held, request("c1"), 200n));
  expect(reasonOf(assign(assigned, request("c1", { effectiveTime: 500n }), 300n))).toBe(
    "NUMBER_STATE_CONFLICT effective_time",
  );
  const ending = done(unassign(assigned, 400n, 300n));
  expect(show(done(assign(ending, request("c2", { effectiveTime: 500n }), 300n)))).toBe(
    "P[100,200) c1[200,400) P[400,500) c2[500,)",
  );
});

test("a report of activation leaves a scheduled end alone, and a start that is given withdraws it", () => {
  const ending = done(unassign(done(assign(held, request("c1"), 200n)), 400n, 300n));
  expect(show(done(assign(ending, request("c1", { activationState: 1 }), 300n)))).toBe(
    "P[100,200) c1[200,400) P[400,)",
  );
  expect(show(done(assign(ending, request("c1", { effectiveTime: 200n }), 300n)))).toBe("P[100,200) c1[200,)");
});

test("an unassignment can be moved, lies within the assignment, and withdraws one that has not begun", () => {
  const assigned = done(assign(held, request("c1"), 200n));
  const ending = done(unassign(assigned, 400n, 300n));
  expect(show(done(unassign(ending, 450n, 300n)))).toBe("P[100,200) c1[200,450) P[450,)");
  expect(show(done(unassign(ending, 350n, 300n)))).toBe("P[100,200) c1[200,350) P[350,)");
  expect(reasonOf(unassign(assigned, 199n, 300n))).toBe("INVALID_ARGUMENT effective_time");
  expect(show(done(unassign(assigned, 200n, 300n)))).toBe("P[100,)");
  const planned = done(assign(held, request("c1", { effectiveTime: 500n }), 200n));
  expect(show(done(unassign(planned, undefined, 300n)))).toBe("P[100,)");
  expect(show(done(unassign(planned, 600n, 300n)))).toBe("P[100,500) c1[500,600) P[600,)");
  expect(done(unassign(held, undefined, 300n))).toBe(held);
});

test("ending an assignment leaves the next customer's, scheduled after it, as it is", () => {
  const ending = done(unassign(done(assign(held, request("c1"), 200n)), 400n, 300n));
  const both = done(assign(ending, request("c2", { effectiveTime: 500n }), 300n));
  expect(show(done(unassign(both, undefined, 350n)))).toBe("P[100,200) c1[200,350) P[350,500) c2[500,)");
});

test("an assigned number is not released, a released one stays so, and one that was never held or is ported out is not found", () => {
  expect(reasonOf(release(done(assign(held, request("c1"), 200n)), 300n))).toBe("NUMBER_STATE_CONFLICT");
  const released = done(release(held, 300n));
  expect(done(release(released, 400n))).toBe(released);
  expect(reasonOf(release([], 300n))).toBe("NUMBER_NOT_FOUND phone_number");
  expect(reasonOf(release(endTimeline(held, 300n, NumberState.PORTED_OUT), 400n))).toBe(
    "NUMBER_NOT_FOUND phone_number",
  );
});

test("what a carrier states of an assigned number does not touch the assignment, and may not contradict it", () => {
  const assigned = done(assign(done(provision([], { ...attributes, locationId: "loc-1" }, 100n)), request("c1"), 200n));
  const bare = done(provision(assigned, attributes, 300n));
  expect(rowAt(key, bare, 300n)).toMatchObject({ customerId: "c1", locationId: "loc-1" });
  expect(rowAt(key, done(provision(assigned, { ...attributes, locationId: "loc-2" }, 300n)), 300n)).toMatchObject({
    locationId: "loc-2",
  });
  expect(reasonOf(provision(assigned, { ...attributes, usages: [2] }, 300n))).toBe("NUMBER_STATE_CONFLICT usages");
  expect(reasonOf(provision(assigned, { ...attributes, customerId: "c2" }, 300n))).toBe(
    "NUMBER_STATE_CONFLICT customer_id",
  );
  const planned = done(assign(held, request("c1", { effectiveTime: 500n }), 200n));
  expect(reasonOf(provision(planned, { ...attributes, customerId: "c2" }, 300n))).toBe(
    "NUMBER_STATE_CONFLICT customer_id",
  );
  expect(reasonOf(assign(done(provision([], { ...attributes, customerId: "c2" }, 100n)), request("c1"), 200n))).toBe(
    "NUMBER_STATE_CONFLICT customer_id",
  );
  expect(reasonOf(assign(held, request("c1", { assigneeKind: 3 }), 200n))).toBe("INVALID_ARGUMENT assignee_kind");
});

test("a caller that may not set locations leaves the one that stands", () => {
  const located = done(assign(held, request("c1", { locationId: "loc-9" }), 200n));
  expect(rowAt(key, done(assign(located, request("c1", { keepLocation: true }), 300n)), 300n)).toMatchObject({
    locationId: "loc-9",
  });
  expect(rowAt(key, done(assign(located, request("c1"), 300n)), 300n)).not.toHaveProperty("locationId");
});

test("a port ends one holding and begins the other with what was planned, but without the loser's reference", () => {
  const own = done(provision([], { ...attributes, customerReference: "order 7" }, 100n));
  const planned = done(assign(own, request("c1", { effectiveTime: 500n }), 200n));
  expect(findPortProblem(planned, 100n, 300n)?.field).toBe("effective_time");
  expect(findPortProblem(planned, 400n, 300n)).toBeUndefined();
  expect(rowAt(key, timelineUnderPort(planned, 400n), 300n)).toMatchObject({
    state: NumberState.PROVISIONED,
    effectiveEnd: 400n,
  });
  const lost = endTimeline(planned, 400n, NumberState.PORTED_OUT);
  expect(show(lost)).toBe("P[100,400)4");
  expect(rowAt(key, lost, 450n)).toMatchObject({
    state: NumberState.PORTED_OUT,
    effectiveStart: 100n,
    effectiveEnd: 400n,
  });
  const gained = arrive([], periodsMoved(planned, 400n), () => "sip:made@b.example");
  expect(show(gained)).toBe("P[400,500) c1[500,)");
  expect(rowAt(key, gained, 500n)).toMatchObject({ sipUri: "sip:made@b.example", customerId: "c1" });
  expect(rowAt(key, gained, 500n)).not.toHaveProperty("customerReference");
});

const time = fc.bigInt({ min: 1n, max: 60n });
const command = fc.oneof(
  fc.record({
    kind: fc.constant("provision" as const),
    customerId: fc.option(fc.constantFrom("c1", "c2"), { nil: undefined }),
  }),
  fc.record({ kind: fc.constant("release" as const) }),
  fc.record({
    kind: fc.constant("assign" as const),
    customerId: fc.constantFrom("c1", "c2"),
    time: fc.option(time, { nil: undefined }),
  }),
  fc.record({ kind: fc.constant("unassign" as const), time: fc.option(time, { nil: undefined }) }),
);

test("whatever is done, periods never overlap, holdings have no holes, and only a change changes anything", () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 25 }), (commands) => {
      let timeline: NumberTimeline = [];
      commands.forEach((command, index) => {
        const now = BigInt(index * 2 + 10);
        timeline = timeline.map((p) => (findDuePeriods(timeline, now).includes(p) ? { ...p, revision: 1n } : p));
        const change = run(timeline, command, now);
        if ("problem" in change) return;
        const next = stampTimeline(timeline, change.timeline, now, { revision: BigInt(index + 1), recordedTime: now });
        assertSound(next, now);
        const again = run(next, command, now + 1n);
        if (!("problem" in again) && !("time" in command)) {
          expect(
            isSameTimeline(next, stampTimeline(next, again.timeline, now + 1n, { revision: 99n, recordedTime: now })),
            show(next),
          ).toBe(true);
        }
        timeline = next;
      });
    }),
    { numRuns: 300 },
  );
});

function run(timeline: NumberTimeline, command: Command, now: bigint): TimelineChange {
  switch (command.kind) {
    case "provision":
      return provision(
        timeline,
        { ...attributes, ...(command.customerId ? { customerId: command.customerId } : {}) },
        now,
      );
    case "release":
      return release(timeline, now);
    case "assign":
      return assign(
        timeline,
        request(command.customerId, command.time === undefined ? {} : { effectiveTime: command.time }),
        now,
      );
    case "unassign":
      return unassign(timeline, command.time, now);
    default:
      return command satisfies never;
  }
}

type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

function assertSound(timeline: NumberTimeline, now: bigint): void {
  timeline.forEach((period, index) => {
    const next = timeline[index + 1];
    expect(period.start < period.end, show(timeline)).toBe(true);
    expect(period.revision === 0n, show(timeline)).toBe(period.start > now);
    if (!next) return;
    expect(period.end <= next.start, show(timeline)).toBe(true);
    // Within a holding one period follows the other; between two there is an end.
    if (next.holdingStart === period.holdingStart) expect(period.end, show(timeline)).toBe(next.start);
    else expect(period.endedAs, show(timeline)).toBeDefined();
  });
  const last = timeline.at(-1);
  expect(last?.endedAs === undefined ? last?.end : FOREVER).toBe(FOREVER);
  const scheduled = timeline.filter((period) => period.start > now && period.assignment);
  expect(scheduled.length, show(timeline)).toBeLessThanOrEqual(1);
  const current = periodAt(timeline, now);
  const row = rowAt(key, timeline, now);
  expect(row?.state === NumberState.PROVISIONED || row?.state === NumberState.ASSIGNED).toBe(current !== undefined);
}

test("what a change says otherwise of a number's customers is one span, and nothing where only attributes change", () => {
  const period = (start: bigint, end: bigint, customerId?: string): NumberTimeline[number] => ({
    ...{ start, end, holdingStart: 0n, attributes, revision: 1n, recordedTime: 0n },
    ...(customerId === undefined
      ? {}
      : { assignment: { customerId, assigneeKind: 1, sipUri: "", sipUriMade: true, activationState: 2 } }),
  });
  const before = [period(0n, 10n), period(10n, 40n, "a"), period(40n, FOREVER, "b")];
  expect(spanOfChange(before, before)).toBeUndefined();
  expect(spanOfChange(before, [...before.slice(0, 2), period(40n, 70n, "b")])).toEqual({ start: 70n, end: FOREVER });
  expect(spanOfChange(before, [period(0n, 10n), period(10n, 30n, "a"), period(30n, FOREVER, "b")])).toEqual({
    start: 30n,
    end: 40n,
  });
  expect(spanOfChange(before, [period(5n, 20n, "a"), period(20n, FOREVER, "b")])).toEqual({ start: 5n, end: 40n });
  expect(spanOfChange([period(0n, 9n)], [])).toBeUndefined();
  expect(spanOfChange([period(0n, 9n, "a")], [])).toEqual({ start: 0n, end: 9n });
});
