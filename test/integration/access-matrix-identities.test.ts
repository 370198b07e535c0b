import { createClient, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CredentialIdentity } from "../../src/domain/carriers/principal.ts";
import { PLATFORM_SCOPES } from "../../src/domain/carriers/scopes.ts";
import { Health } from "../../src/gen/grpc/health/v1/health_pb.js";
import { AgreementService } from "../../src/gen/tandem/carrier/v1/agreement_service_pb.js";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { ReconciliationService } from "../../src/gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
import { CdrService as PlatformCdrService } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import {
  asCarrier,
  asPlatform,
  DENIALS,
  declared,
  everywhere,
  expected,
  judgeAll,
  METHODS,
  nameOf,
  nobody,
  type Verdict,
} from "../support/access-matrix.ts";
import { stepClockBack } from "../support/clock.ts";
import { holdCalls } from "../support/held-calls.ts";
import {
  ALL_SCOPES,
  CHANGES,
  type Change,
  carrierIdOf,
  IdentityWorld,
  identityOf,
  MODES,
  type Mode,
  OPS,
  PLATFORM_AUDIENCE,
  PLATFORM_CHANGES,
  type Shown,
  STATES,
  type State,
  subjectOf,
  TAINTED,
} from "../support/identity-world.ts";
import { reasonOf } from "../support/refusal.ts";
import { TOGETHER } from "../support/shown-together.ts";

// Method x principal x state of the identity, where tokens are of the own key, where they are of
// another issuer, and with client certificates; and of tokens beside certificates.

let world: IdentityWorld;
beforeAll(async () => {
  world = await IdentityWorld.open();
});
afterAll(() => world?.[Symbol.asyncDispose]());

/** A caller: what it shows, and what it is told. */
interface Caller {
  readonly who: string;
  readonly mode: Mode;
  readonly show: () => Promise<Shown>;
  readonly verdict: Verdict;
}

const OF_CARRIER: Record<State, Verdict> = {
  "never known": nobody,
  active: asCarrier("allowed"),
  suspended: asCarrier("CARRIER_SUSPENDED"),
  elsewhere: asCarrier("REGION_MISMATCH"),
  removed: nobody,
  expired: nobody,
  moved: asCarrier("allowed"),
  revoked: nobody,
};
const PLATFORM = asPlatform(...PLATFORM_SCOPES);

const CARRIERS: readonly Caller[] = MODES.flatMap((mode) =>
  STATES.map((state) => ({
    who: `an identity that is ${state}`,
    mode,
    show: () => world.show(mode, state),
    // Whoever has the own key says who is the platform.
    verdict: mode === "own key" && state === "never known" ? PLATFORM : OF_CARRIER[state],
  })),
);

function verdictOfClaim(mode: Mode, state: State): Verdict {
  if (state === "moved") return nobody;
  return mode === "own key" && state === "never known" ? asCarrier("allowed") : OF_CARRIER[state];
}

// The claim of a token of the own key makes a carrier of a subject that never was one, and of no
// other.
const CLAIMS: readonly Caller[] = (["own key", "JWKS"] as const).flatMap((mode) =>
  STATES.map((state) => ({
    who: `an identity that is ${state}, with the claim of the carrier that has or had it`,
    mode,
    show: () => world.show(mode, state, { tandem_carrier: carrierIdOf(mode, state) }),
    verdict: verdictOfClaim(mode, state),
  })),
);

const platformToken = (claims: Record<string, unknown>) => async () => ({
  token: await world.issuer.sign({ scope: ALL_SCOPES, ...claims }),
});
const platformCertificate =
  (...identities: readonly CredentialIdentity[]) =>
  () =>
    world.certificate(...identities);
const PLATFORMS: readonly Caller[] = [
  { who: "a subject that the settings name", mode: "JWKS", show: platformToken({ sub: "ops" }), verdict: PLATFORM },
  {
    who: "a subject that the settings name, with a token for fewer scopes",
    mode: "JWKS",
    show: platformToken({ sub: "ops", scope: "openid cdrs.read" }),
    verdict: asPlatform("cdrs.read"),
  },
  {
    who: "a subject that the settings name, with a token that says no scopes",
    mode: "JWKS",
    show: platformToken({ sub: "ops", scope: undefined }),
    verdict: PLATFORM,
  },
  {
    who: "a subject that the settings name, with the claim of a carrier",
    mode: "JWKS",
    show: platformToken({ sub: "ops", tandem_carrier: carrierIdOf("JWKS", "active") }),
    verdict: nobody,
  },
  {
    who: "a subject that the settings name, and that was a carrier's",
    mode: "JWKS",
    show: platformToken({ sub: "tainted" }),
    verdict: nobody,
  },
  {
    who: "a subject that the settings name, with an expired token",
    mode: "JWKS",
    show: platformToken({ sub: "ops", exp: Math.floor(Date.now() / 1000) - 60 }),
    verdict: everywhere("CREDENTIAL_EXPIRED"),
  },
  {
    who: "an unknown subject for the platform's audience",
    mode: "JWKS",
    show: platformToken({ sub: "somebody", aud: PLATFORM_AUDIENCE }),
    verdict: PLATFORM,
  },
  ...STATES.filter((state) => state !== "never known").map((state) => ({
    who: `an identity that is ${state}, for the platform's audience`,
    mode: "JWKS" as const,
    show: platformToken({ sub: subjectOf(state), aud: PLATFORM_AUDIENCE }),
    verdict: nobody,
  })),
  { who: "a name that the settings name", mode: "certificate", show: platformCertificate(OPS[1]), verdict: PLATFORM },
  {
    who: "a name that the settings name, and that was a carrier's",
    mode: "certificate",
    show: platformCertificate(TAINTED[1]),
    verdict: nobody,
  },
  {
    who: "a name that the settings name, beside one that was a carrier's",
    mode: "certificate",
    show: platformCertificate(OPS[1], identityOf("certificate", "removed")),
    verdict: nobody,
  },
];

test.each([...CARRIERS, ...CLAIMS, ...PLATFORMS])(
  "Confidentiality: by $mode, $who reaches what the contract declares",
  async ({ mode, show, verdict }) => {
    expect(await judgeAll(world.connect(mode, await show()))).toEqual(expected(verdict));
  },
);

test.each(TOGETHER)(
  "Confidentiality: $token beside $certificate reaches what the contract declares",
  async ({ show, verdict }) => {
    expect(await judgeAll(world.connect("JWKS", await show(world)))).toEqual(expected(verdict));
  },
);

test.each(["alone", "with the token of a carrier", "with a token of the platform"])(
  "Confidentiality: a certificate whose time is over reaches nothing, %s",
  async (how) => {
    const name = how.replaceAll(" ", "-");
    const shown = await (how.endsWith("platform") ? world.certificate(OPS[1]) : world.makeActive("certificate", name));
    const exp = Math.floor(Date.now() / 1000) + 86_400;
    const subject = how.endsWith("platform") ? "ops" : subjectOf("active");
    const token = await world.issuer.sign({ sub: subject, scope: ALL_SCOPES, exp });
    const transport = world.connect("JWKS", how === "alone" ? shown : { ...shown, token });
    // The connection is there before the end.
    await reasonOf(createClient(Health, transport).check({}));
    using _later = stepClockBack(-2 * 3_600_000);
    expect(await judgeAll(transport)).toEqual(expected(everywhere("CREDENTIAL_EXPIRED")));
  },
);

test.each(MODES)("Confidentiality: by %s, a moved identity acts for its new carrier", async (mode) => {
  const agreements = createClient(AgreementService, world.connect(mode, await world.show(mode, "moved")));
  expect((await agreements.getAgreement({})).agreement?.carrierId).toBe(`${carrierIdOf(mode, "moved")}-new`);
});

const PLATFORM_CASES = MODES.flatMap((mode) => PLATFORM_CHANGES.map((change) => ({ mode, change })));
const CASES = MODES.flatMap((mode) => CHANGES.map((change) => ({ mode, change })));

/**
 * How a live stream ends. One whose carrier is in another region is told to come back, and then
 * where to go.
 */
const STREAM_ENDS: Record<Change, string> = {
  suspended: "CARRIER_SUSPENDED",
  elsewhere: "DRAINING",
  removed: "CREDENTIAL_EXPIRED",
  expired: "CREDENTIAL_EXPIRED",
  moved: "CREDENTIAL_EXPIRED",
  revoked: "CREDENTIAL_EXPIRED",
};

test.each(PLATFORM_CASES)(
  "Confidentiality: by $mode, what the platform shows reaches every method of its own, and nothing once it is $change",
  async ({ mode, change }) => {
    const name = `${change}-unary`;
    const shown = await world.showPlatform(mode, name);
    const transport = world.connect(mode, shown);
    expect(await judgeAll(transport)).toEqual(expected(PLATFORM));
    using _change = await world.applyToPlatform(mode, name, change, shown);
    const verdict = change === "expired" ? everywhere("CREDENTIAL_EXPIRED") : nobody;
    expect(await judgeAll(transport)).toEqual(expected(verdict));
  },
);

describe("a live stream", () => {
  test.each(CASES)(
    "Confidentiality: by $mode, every one ends when its identity is $change",
    async ({ mode, change }) => {
      const name = `${change}-stream`;
      const streams = openStreams(world.connect(mode, await world.makeActive(mode, name)));
      await Promise.all(streams.map(({ opened }) => opened));
      await world.apply(mode, name, change);
      expect(await Promise.all(streams.map(({ ended }) => ended))).toEqual(streams.map(() => STREAM_ENDS[change]));
    },
  );
});

describe("a live upload of the platform", () => {
  test.each(PLATFORM_CASES)(
    "Confidentiality: by $mode, it ends when what it shows is $change",
    async ({ mode, change }) => {
      const name = `${change}-stream`;
      const shown = await world.showPlatform(mode, name);
      const platform = createClient(PlatformCdrService, world.connect(mode, shown));
      const stop = new AbortController();
      const upload = follow(platform.ingestCdrs(ingestFrames(mode, name), { signal: stop.signal }));
      await upload.opened;
      using _change = await world.applyToPlatform(mode, name, change, shown);
      expect(await upload.ended).toBe("CREDENTIAL_EXPIRED");
      expect(upload.isOpened).toBe(true);
      stop.abort();
    },
  );
});

describe("a call whose body is held back", () => {
  // Of a stream of requests it is the first that is held back.
  const heldByCarriers = METHODS.filter((method) => declared(method) === "carrier");
  const heldByPlatform = METHODS.filter((method) => !["carrier", "anyone"].includes(declared(method)));

  test.each(CASES)(
    "Confidentiality: by $mode, every method is refused when its identity is $change meanwhile",
    async ({ mode, change }) => {
      const name = `${change}-held`;
      const { token, files } = await world.makeActive(mode, name);
      const tls = world.tls(mode, files);
      const probe = AgreementService.method.getAgreement;
      await using held = await holdCalls(world.appOf(mode).url, heldByCarriers, probe, { token, tls });
      await world.apply(mode, name, change);
      const reasons = await held.release();
      // The agreement says why the carrier is suspended.
      if (change === "suspended") delete reasons[nameOf(probe)];
      // The life of an upload has begun at its headers: it may end as a stream does.
      const upload = nameOf(DurationService.method.uploadDurations);
      if (reasons[upload] === STREAM_ENDS[change]) delete reasons[upload];
      expect(Object.entries(reasons).filter(([, reason]) => !DENIALS.has(reason))).toEqual([]);
    },
  );

  test.each(PLATFORM_CASES)(
    "Confidentiality: by $mode, every method of the platform is refused when what it shows is $change meanwhile",
    async ({ mode, change }) => {
      const name = `${change}-held`;
      const shown = await world.showPlatform(mode, name);
      const probe = CarrierService.method.listCarriers;
      const tls = world.tls(mode, shown.files);
      const reasons = await (async () => {
        await using held = await holdCalls(world.appOf(mode).url, heldByPlatform, probe, { token: shown.token, tls });
        using _change = await world.applyToPlatform(mode, name, change, shown);
        return await held.release();
      })();
      expect(Object.entries(reasons).filter(([, reason]) => !DENIALS.has(reason))).toEqual([]);
    },
  );
});

/** One stream of each method that carriers have streams of. */
function openStreams(transport: Transport): Followed[] {
  const start = { position: { case: "latest", value: {} } } as const;
  const stop = new AbortController();
  const frames = [
    createClient(CdrService, transport).streamCdrs({ start }, { signal: stop.signal }),
    createClient(NumberService, transport).watchNumbers({ start }, { signal: stop.signal }),
    createClient(ReconciliationService, transport).watchDiscrepancies({ start }, { signal: stop.signal }),
    createClient(DurationService, transport).uploadDurations(uploadFrames(), { signal: stop.signal }),
  ];
  return frames.map(follow);
}

interface Followed {
  /** Resolves with its first message, or when it ends without one. */
  readonly opened: Promise<void>;
  readonly ended: Promise<string>;
  readonly isOpened: boolean;
}

function follow(stream: AsyncIterable<unknown>): Followed {
  const opened = Promise.withResolvers<void>();
  let isOpened = false;
  const onFirst = () => {
    isOpened = true;
    opened.resolve();
  };
  const ended = reasonOf(readAll(stream, onFirst));
  void ended.then(() => opened.resolve());
  return {
    opened: opened.promise,
    ended,
    get isOpened() {
      return isOpened;
    },
  };
}

async function readAll(stream: AsyncIterable<unknown>, onFirst: () => void): Promise<void> {
  for await (const _ of stream) onFirst();
}

async function* uploadFrames() {
  yield { frame: { case: "open", value: { uploadId: "held" } } } as const;
  // The client stays; the server ends it.
  await new Promise(() => {});
}

async function* ingestFrames(mode: Mode, name: string) {
  const uploadId = name.replaceAll(/[^a-z]+/g, "-");
  const open = { carrierId: carrierIdOf(mode, "active"), open: { uploadId } };
  yield { frame: { case: "open", value: open } } as const;
  await new Promise(() => {});
}
