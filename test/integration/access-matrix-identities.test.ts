import { createClient, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CredentialIdentity } from "../../src/domain/principal.ts";
import { PLATFORM_SCOPES } from "../../src/domain/scopes.ts";
import { AgreementService } from "../../src/gen/tandem/carrier/v1/agreement_service_pb.js";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { ReconciliationService } from "../../src/gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
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
import { holdCalls } from "../support/held-calls.ts";
import {
  ALL_SCOPES,
  CHANGES,
  carrierIdOf,
  IdentityWorld,
  identityOf,
  jwt,
  MODES,
  type Mode,
  OPS,
  PLATFORM_AUDIENCE,
  type Shown,
  STATES,
  type State,
  subjectOf,
  TAINTED,
} from "../support/identity-world.ts";
import { reasonOf } from "../support/refusal.ts";

// Method x principal x state of the identity, where tokens are of the own key, where they are of another
// issuer, and with client certificates.

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
  removed: nobody,
  expired: nobody,
  moved: asCarrier("allowed"),
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

// The claim of a token of the own key makes a carrier of a subject that never was one, and of no other.
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

test.each(MODES)("Confidentiality: by %s, a moved identity acts for its new carrier", async (mode) => {
  const agreements = createClient(AgreementService, world.connect(mode, await world.show(mode, "moved")));
  expect((await agreements.getAgreement({})).agreement?.carrierId).toBe(`${carrierIdOf(mode, "moved")}-new`);
});

const CASES = MODES.flatMap((mode) => CHANGES.map((change) => ({ mode, change })));

describe("a live stream", () => {
  test.each(CASES)(
    "Confidentiality: by $mode, every one ends when its identity is $change",
    async ({ mode, change }) => {
      const name = `${change}-stream`;
      const streams = openStreams(world.connect(mode, await world.makeActive(mode, name)));
      await Promise.all(streams.map(({ opened }) => opened));
      await world.apply(mode, name, change);
      const reason = change === "suspended" ? "CARRIER_SUSPENDED" : "CREDENTIAL_EXPIRED";
      expect(await Promise.all(streams.map(({ ended }) => ended))).toEqual(streams.map(() => reason));
    },
  );
});

describe("a call whose body is held back", () => {
  const oneMessage = METHODS.filter(({ methodKind }) => methodKind === "unary" || methodKind === "server_streaming");
  const heldByCarriers = oneMessage.filter((method) => declared(method) === "carrier");
  const heldByPlatform = oneMessage.filter((method) => !["carrier", "anyone"].includes(declared(method)));

  test.each(CASES)(
    "Confidentiality: by $mode, every method is refused when its identity is $change meanwhile",
    async ({ mode, change }) => {
      const name = `${change}-held`;
      const { token, files } = await world.makeActive(mode, name);
      const tls = mode === "JWKS" ? {} : world.tls(files);
      const probe = AgreementService.method.getAgreement;
      await using held = await holdCalls(world.appOf(mode).url, heldByCarriers, probe, { token, tls });
      await world.apply(mode, name, change);
      const reasons = await held.release();
      // The agreement says why the carrier is suspended.
      if (change === "suspended") delete reasons[nameOf(probe)];
      expect(Object.entries(reasons).filter(([, reason]) => !DENIALS.has(reason))).toEqual([]);
    },
  );

  test("Confidentiality: every method of the platform is refused when its subject becomes a carrier's meanwhile", async () => {
    const token = await world.issuer.sign({ sub: "turncoat", aud: PLATFORM_AUDIENCE, scope: ALL_SCOPES });
    const probe = CarrierService.method.listCarriers;
    await using held = await holdCalls(world.appOf("JWKS").url, heldByPlatform, probe, { token });
    await world.takeBack("JWKS", jwt("JWKS", "turncoat"));
    const reasons = await held.release();
    expect(Object.entries(reasons).filter(([, reason]) => !DENIALS.has(reason))).toEqual([]);
  });
});

/** One stream of each method that carriers have streams of. */
function openStreams(transport: Transport): { opened: Promise<void>; ended: Promise<string> }[] {
  const start = { position: { case: "latest", value: {} } } as const;
  const stop = new AbortController();
  const frames = [
    createClient(CdrService, transport).streamCdrs({ start }, { signal: stop.signal }),
    createClient(NumberService, transport).watchNumbers({ start }, { signal: stop.signal }),
    createClient(ReconciliationService, transport).watchDiscrepancies({ start }, { signal: stop.signal }),
    createClient(DurationService, transport).uploadDurations(uploadFrames(), { signal: stop.signal }),
  ];
  return frames.map((stream: AsyncIterable<unknown>) => {
    const opened = Promise.withResolvers<void>();
    const ended = reasonOf(readAll(stream, opened.resolve));
    void ended.then(() => opened.resolve());
    return { opened: opened.promise, ended };
  });
}

async function readAll(stream: AsyncIterable<unknown>, onFirst: () => void): Promise<void> {
  for await (const _ of stream) onFirst();
}

async function* uploadFrames() {
  yield { frame: { case: "open", value: { uploadId: "held" } } } as const;
  // The client stays; the server ends it.
  await new Promise(() => {});
}
