import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  CARRIER_DEFAULTS,
  type Carrier,
  type Credential,
  type ReportingScope,
  sortReportingScopes,
} from "../../domain/carriers/carrier.ts";
import { type FieldViolation, fieldViolations } from "../../domain/errors.ts";
import { timestampFromMicros } from "../../domain/time/instant.ts";
import {
  type Carrier as CarrierMessage,
  CarrierSchema,
  type CredentialIdentity,
} from "../../gen/tandem/platform/v1/carrier_pb.js";
import { CarrierState, type ReportingScope as ReportingScopeMessage } from "../../gen/tandem/type/v1/agreement_pb.js";
import { optionalInstant } from "../shared/lists.ts";

/** A carrier for the platform. `sipDomain`: where it has none of its own; undefined: left out. */
export function carrierMessage(carrier: Carrier, sipDomain: string | undefined): CarrierMessage {
  const domain = carrier.sipDomain ?? sipDomain;
  return create(CarrierSchema, {
    carrierId: carrier.carrierId,
    displayName: carrier.displayName,
    legalCountry: carrier.legalCountry,
    timeZone: carrier.timeZone,
    region: carrier.region,
    ...(domain === undefined ? {} : { sipDomain: domain }),
    ...agreedFields(carrier),
    graceMs: carrier.graceMs,
    credentialIdentities: carrier.credentials.map(credentialMessage),
    createTime: timestampFromMicros(carrier.createTime),
    updateTime: timestampFromMicros(carrier.updateTime),
    revision: carrier.revision,
  });
}

/** What Carrier and Agreement say in the same fields. */
export function agreedFields(carrier: Carrier) {
  return {
    state: carrier.suspended ? CarrierState.SUSPENDED : CarrierState.ACTIVE,
    reportingScopes: carrier.reportingScopes.map(({ directions, unanswered, emergency, startTime, endTime }) => ({
      directions: [...directions],
      unanswered,
      emergency,
      ...(startTime === undefined ? {} : { startTime: timestampFromMicros(startTime) }),
      ...(endTime === undefined ? {} : { endTime: timestampFromMicros(endTime) }),
    })),
    tolerances: { durationMs: carrier.durationToleranceMs },
    thresholds: { ...carrier.thresholds },
    horizons: { firstRevisionDays: carrier.horizons.firstDays, laterRevisionDays: carrier.horizons.laterDays },
    ...(carrier.roundingRule ? { roundingRule: { ...carrier.roundingRule } } : {}),
    networkIdentifiersAllowed: carrier.networkIdentifiersAllowed,
  };
}

/**
 * A request's carrier, defaults filled in, not yet checked by `findCarrierViolations`.
 * @throws TandemError INVALID_ARGUMENT for what has no meaning, such as an unknown state.
 */
export function readCarrierMessage(
  message: CarrierMessage,
  times: Pick<Carrier, "createTime" | "updateTime" | "revision">,
): Carrier {
  const { tolerances, horizons, thresholds, roundingRule, sipDomain } = message;
  const { netRatio, grossRatio, unmatchedRatio } = thresholds ?? {};
  const shape: FieldViolation[] = [];
  const credentials = message.credentialIdentities.map((credential, index) => readCredential(credential, index, shape));
  if (message.state !== CarrierState.ACTIVE && message.state !== CarrierState.SUSPENDED) {
    shape.push({ field: "state", description: "expected ACTIVE or SUSPENDED" });
  }
  if (shape.length > 0) throw fieldViolations(inCarrier(shape));
  return {
    carrierId: message.carrierId,
    displayName: message.displayName,
    legalCountry: message.legalCountry,
    timeZone: message.timeZone,
    region: message.region,
    ...(sipDomain === undefined ? {} : { sipDomain: sipDomain.toLowerCase() }),
    suspended: message.state === CarrierState.SUSPENDED,
    reportingScopes: sortReportingScopes(message.reportingScopes.map(readScope)),
    durationToleranceMs: tolerances?.durationMs ?? CARRIER_DEFAULTS.durationToleranceMs,
    graceMs: message.graceMs ?? CARRIER_DEFAULTS.graceMs,
    thresholds: {
      ...(netRatio === undefined ? {} : { netRatio }),
      ...(grossRatio === undefined ? {} : { grossRatio }),
      ...(unmatchedRatio === undefined ? {} : { unmatchedRatio }),
    },
    horizons: {
      firstDays: horizons?.firstRevisionDays ?? CARRIER_DEFAULTS.horizons.firstDays,
      laterDays: horizons?.laterRevisionDays ?? CARRIER_DEFAULTS.horizons.laterDays,
    },
    ...(roundingRule ? { roundingRule: { incrementS: roundingRule.incrementS, minimumS: roundingRule.minimumS } } : {}),
    networkIdentifiersAllowed: message.networkIdentifiersAllowed,
    credentials: credentials.filter((credential) => credential !== undefined),
    ...times,
  };
}

/** Violations of a carrier's fields as those of a request that holds it. */
export function inCarrier(violations: readonly FieldViolation[]): FieldViolation[] {
  return violations.map(({ field, description }) => ({ field: `carrier.${field}`, description }));
}

function readScope(scope: ReportingScopeMessage, index: number): ReportingScope {
  const field = `carrier.reporting_scopes[${index}]`;
  const startTime = optionalInstant(`${field}.start_time`, scope.startTime);
  const endTime = optionalInstant(`${field}.end_time`, scope.endTime);
  const directions = [...new Set<number>(scope.directions)].sort((a, b) => a - b);
  return {
    directions: directions.length === 0 ? CARRIER_DEFAULTS.directions : directions,
    unanswered: scope.unanswered,
    emergency: scope.emergency,
    ...(startTime === undefined ? {} : { startTime }),
    ...(endTime === undefined ? {} : { endTime }),
  };
}

function readCredential(message: CredentialIdentity, index: number, wrong: FieldViolation[]): Credential | undefined {
  const field = `credential_identities[${index}]`;
  const expireTime = optionalInstant(`carrier.${field}.expire_time`, message.expireTime);
  const end = expireTime === undefined ? {} : { expireTime };
  const { identity } = message;
  switch (identity.case) {
    case "jwt":
      return { identity: { kind: "jwt", issuer: identity.value.issuer, subject: identity.value.subject }, ...end };
    case "spiffeUri":
      return { identity: { kind: "spiffe", uri: identity.value }, ...end };
    case "dnsName":
      return { identity: { kind: "dns", name: identity.value }, ...end };
    case undefined:
      wrong.push({ field: `${field}.identity`, description: "is required" });
      return undefined;
    default:
      return identity satisfies never;
  }
}

function credentialMessage({ identity, expireTime }: Credential) {
  const end = expireTime === undefined ? {} : { expireTime: timestampFromMicros(expireTime) };
  return { identity: identityMessage(identity), ...end };
}

function identityMessage(
  identity: Credential["identity"],
): NonNullable<Exclude<MessageInitShape<typeof CarrierSchema>["credentialIdentities"], undefined>[number]["identity"]> {
  switch (identity.kind) {
    case "jwt":
      return { case: "jwt", value: { issuer: identity.issuer, subject: identity.subject } };
    case "spiffe":
      return { case: "spiffeUri", value: identity.uri };
    case "dns":
      return { case: "dnsName", value: identity.name };
    default:
      return identity satisfies never;
  }
}
