import type { CredentialIdentity } from "../../src/domain/carriers/principal.ts";
import { PLATFORM_SCOPES } from "../../src/domain/carriers/scopes.ts";
import { asCarrier, asPlatform, nobody, type Verdict } from "./access-matrix.ts";
import {
  ALL_SCOPES,
  type IdentityWorld,
  identityOf,
  OPS,
  PLATFORM_AUDIENCE,
  type Shown,
  STATES,
  type State,
  subjectOf,
  TAINTED,
} from "./identity-world.ts";

/** A caller that shows a token of the issuer beside a client certificate, and what it is told. */
export interface Together {
  readonly token: string;
  readonly certificate: string;
  readonly show: Show;
  readonly verdict: Verdict;
}

const platform = asPlatform(...PLATFORM_SCOPES);
const carrier = asCarrier("allowed");

type Show = (world: IdentityWorld) => Promise<Shown>;
const certificateOf =
  (...names: readonly CredentialIdentity[]): Show =>
  (world) =>
    world.certificate(...names);
const CERTIFICATES: Readonly<Record<string, Show>> = {
  ...Object.fromEntries(
    STATES.map((state): [string, Show] => [named(state), (world) => world.show("certificate", state)]),
  ),
  "one of the platform": certificateOf(OPS[1]),
  "one of the platform that was a carrier's": certificateOf(TAINTED[1]),
  "one of nobody and of a removed identity": certificateOf(
    identityOf("certificate", "never known"),
    identityOf("certificate", "removed"),
  ),
};

const TOKENS: Readonly<Record<string, Record<string, unknown>>> = {
  "a token of a subject of the platform": { sub: "ops" },
  "a token for the platform's audience": { sub: "somebody", aud: PLATFORM_AUDIENCE },
  "a carrier's token": { sub: subjectOf("active") },
  "a token of a removed subject": { sub: subjectOf("removed") },
};

// A certificate that is revoked is passed over, as one of an unknown authority: the token came
// without.
/** A name that is or ever was a carrier's is never the platform's, whatever token comes with it. */
const OF_PLATFORM: Readonly<Record<string, Verdict>> = {
  [named("never known")]: platform,
  [named("revoked")]: platform,
  "one of the platform": platform,
};
/** A name that is nobody's now takes nothing from the token of a carrier. */
const OF_CARRIER: Readonly<Record<string, Verdict>> = {
  [named("never known")]: carrier,
  [named("removed")]: carrier,
  [named("expired")]: carrier,
  [named("revoked")]: carrier,
  "one of nobody and of a removed identity": carrier,
};
const VERDICTS: Readonly<Record<string, Readonly<Record<string, Verdict>>>> = {
  "a token of a subject of the platform": OF_PLATFORM,
  "a token for the platform's audience": OF_PLATFORM,
  "a carrier's token": OF_CARRIER,
  "a token of a removed subject": {},
};

const UNBOUND: readonly Together[] = Object.entries(TOKENS).flatMap(([token, claims]) =>
  Object.entries(CERTIFICATES).map(([certificate, show]) => ({
    token,
    certificate,
    show: async (world) => ({
      ...(await show(world)),
      token: await world.issuer.sign({ scope: ALL_SCOPES, ...claims }),
    }),
    verdict: VERDICTS[token]?.[certificate] ?? nobody,
  })),
);

const NAMES = [identityOf("certificate", "never known")] as const;
const FORMER = [identityOf("certificate", "removed")] as const;
const BOUND: readonly Together[] = (
  [
    ["a token of a subject of the platform", platform, nobody],
    ["a carrier's token", carrier, carrier],
    ["a token of a removed subject", nobody, nobody],
  ] as const
).flatMap(([name, verdict, ofFormer]) => {
  const bind =
    (names: readonly CredentialIdentity[], shown: "it" | "another" | "none") => async (world: IdentityWorld) => {
      const bindTo = await world.certificate(...names);
      const token = await world.bound({ scope: ALL_SCOPES, ...TOKENS[name] }, bindTo);
      if (shown === "none") return { token };
      return { ...(shown === "it" ? bindTo : await world.certificate(...names)), token };
    };
  const token = `${name}, bound,`;
  const bindRevoked: Show = async (world) => {
    const revoked = await world.show("certificate", "revoked");
    return { ...revoked, token: await world.bound({ scope: ALL_SCOPES, ...TOKENS[name] }, revoked) };
  };
  return [
    { token, certificate: "its certificate", show: bind(NAMES, "it"), verdict },
    { token, certificate: "its certificate of a removed identity", show: bind(FORMER, "it"), verdict: ofFormer },
    { token, certificate: "its certificate, revoked", show: bindRevoked, verdict: nobody },
    { token, certificate: "another one of the same name", show: bind(NAMES, "another"), verdict: nobody },
    { token, certificate: "no certificate", show: bind(NAMES, "none"), verdict: nobody },
  ];
});

/** Every token beside every certificate. */
export const TOGETHER: readonly Together[] = [...UNBOUND, ...BOUND];

function named(state: State): string {
  return `one of an identity that is ${state}`;
}
