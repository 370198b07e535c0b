import { Direction } from "../../gen/tandem/type/v1/call_pb.js";
import type { Horizons } from "../calls/call-rules.ts";
import { lastValue } from "../enum-values.ts";
import type { FieldViolation } from "../errors.ts";
import { isDnsName } from "../numbers/sip-uri.ts";
import type { Micros } from "../time/instant.ts";
import { isTimeZone } from "../time/time-zone.ts";
import { isCountry } from "./country.ts";
import type { CredentialIdentity } from "./principal.ts";

/** A carrier and its agreement with defaults filled in, as tandem.platform.v1.Carrier. */
export interface Carrier {
  readonly carrierId: string;
  readonly displayName: string;
  readonly legalCountry: string;
  readonly timeZone: string;
  readonly region: string;
  /** Absent: the domain in the settings. */
  readonly sipDomain?: string;
  readonly suspended: boolean;
  /** Ascending in time. */
  readonly reportingScopes: readonly ReportingScope[];
  readonly durationToleranceMs: bigint;
  readonly graceMs: bigint;
  readonly thresholds: Thresholds;
  readonly horizons: Horizons;
  /** Absent: undeclared. */
  readonly roundingRule?: RoundingRule;
  readonly networkIdentifiersAllowed: boolean;
  readonly credentials: readonly Credential[];
  readonly createTime: Micros;
  readonly updateTime: Micros;
  readonly revision: bigint;
}

/** What the carrier must report in [startTime, endTime). */
export interface ReportingScope {
  /** The numbers of tandem.type.v1.Direction, ascending. */
  readonly directions: readonly number[];
  readonly unanswered: boolean;
  readonly emergency: boolean;
  readonly startTime?: Micros;
  readonly endTime?: Micros;
}

/** Ratios above which disagreements are looked into; absent: not agreed. */
export interface Thresholds {
  readonly netRatio?: number;
  readonly grossRatio?: number;
  readonly unmatchedRatio?: number;
}

/** How a carrier rounds for billing. */
export interface RoundingRule {
  readonly incrementS: number;
  readonly minimumS: number;
}

/** An identity that may act as the carrier. */
export interface Credential {
  readonly identity: CredentialIdentity;
  readonly expireTime?: Micros;
}

/** Defaults of an agreement. */
export const CARRIER_DEFAULTS = {
  durationToleranceMs: 2_000n,
  graceMs: 86_400_000n,
  horizons: { firstDays: 120, laterDays: 400 },
  /** OUTBOUND. */
  directions: [1],
} as const;

export function isCarrierId(text: string): boolean {
  return /^[a-z][a-z0-9-]{2,31}$/.test(text);
}

export function isRegion(text: string): boolean {
  return /^[a-z0-9-]{1,32}$/.test(text);
}

export function sortReportingScopes(scopes: readonly ReportingScope[]): ReportingScope[] {
  return scopes.toSorted((a, b) => (startOf(a) < startOf(b) ? -1 : Number(startOf(a) > startOf(b))));
}

/** All wrong fields, by their path in tandem.platform.v1.Carrier. */
export function findCarrierViolations(carrier: Carrier): FieldViolation[] {
  const found: FieldViolation[] = [];
  const check = (field: string, holds: boolean, description: string) => {
    if (!holds) found.push({ field, description });
  };
  check(
    "carrier_id",
    isCarrierId(carrier.carrierId),
    "expected 3 to 32 characters of a-z, 0-9 and -, the first a letter",
  );
  const nameLength = [...carrier.displayName].length;
  check(
    "display_name",
    nameLength >= 1 && nameLength <= 100 && isPrintable(carrier.displayName),
    "expected 1 to 100 printable characters",
  );
  check("legal_country", isCountry(carrier.legalCountry), "expected an ISO 3166-1 alpha-2 code in upper case");
  check("time_zone", isTimeZone(carrier.timeZone), "expected an IANA time zone, such as Europe/Copenhagen");
  check("region", isRegion(carrier.region), "expected 1 to 32 characters of a-z, 0-9 and -");
  check(
    "sip_domain",
    carrier.sipDomain === undefined || isDnsName(carrier.sipDomain),
    "expected a DNS name of at most 253 characters",
  );
  check("grace_ms", carrier.graceMs >= 0n && carrier.graceMs <= MAX_GRACE_MS, `expected 0 to ${MAX_GRACE_MS}`);
  const { durationToleranceMs: tolerance } = carrier;
  check("tolerances.duration_ms", tolerance >= 0n && tolerance <= 60_000n, "expected 0 to 60000");
  for (const [field, ratio] of thresholdFields(carrier.thresholds)) {
    check(`thresholds.${field}`, ratio === undefined || (ratio >= 0 && ratio <= 1), "expected 0 to 1");
  }
  const { firstDays, laterDays } = carrier.horizons;
  check(
    "horizons.first_revision_days",
    firstDays >= 1 && firstDays <= MAX_FIRST_DAYS,
    `expected 1 to ${MAX_FIRST_DAYS}`,
  );
  const laterHolds = laterDays >= firstDays && laterDays <= MAX_LATER_DAYS;
  check(
    "horizons.later_revision_days",
    laterHolds,
    `expected first_revision_days to ${MAX_LATER_DAYS}, which is how long keys are kept`,
  );
  return [
    ...found,
    ...findRoundingViolations(carrier),
    ...findScopeViolations(carrier),
    ...findCredentialViolations(carrier),
  ];
}

/** Keys are kept for 58 weekly partitions (store/database/partitions.ts). */
const MAX_LATER_DAYS = 400;
const MAX_FIRST_DAYS = 400;
const MAX_GRACE_MS = 2_592_000_000n;
const MAX_SCOPES = 100;
const MAX_CREDENTIALS = 20;
const LAST_DIRECTION = lastValue(Direction);

function isPrintable(text: string): boolean {
  return /^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}]*$/u.test(text) && text.trim() !== "";
}

function thresholdFields(thresholds: Thresholds): [string, number | undefined][] {
  return [
    ["net_ratio", thresholds.netRatio],
    ["gross_ratio", thresholds.grossRatio],
    ["unmatched_ratio", thresholds.unmatchedRatio],
  ];
}

function findRoundingViolations({ roundingRule: rule }: Carrier): FieldViolation[] {
  if (!rule) return [];
  const found: FieldViolation[] = [];
  if (rule.incrementS < 1 || rule.incrementS > 3_600)
    found.push({ field: "rounding_rule.increment_s", description: "expected 1 to 3600" });
  if (rule.minimumS < 0 || rule.minimumS > 3_600)
    found.push({ field: "rounding_rule.minimum_s", description: "expected 0 to 3600" });
  return found;
}

// Paths use the position after sorting, as responses do.
function findScopeViolations({ reportingScopes: scopes }: Carrier): FieldViolation[] {
  if (scopes.length > MAX_SCOPES) return [{ field: "reporting_scopes", description: `expected at most ${MAX_SCOPES}` }];
  return sortReportingScopes(scopes).flatMap((scope, index, sorted) => {
    const field = `reporting_scopes[${index}]`;
    const before = sorted[index - 1];
    const found: FieldViolation[] = [];
    const areKnown = scope.directions.every((direction) => direction >= 1 && direction <= LAST_DIRECTION);
    if (!areKnown) found.push({ field: `${field}.directions`, description: "expected OUTBOUND or INBOUND" });
    if (startOf(scope) >= endOf(scope))
      found.push({ field: `${field}.end_time`, description: "expected a time after start_time" });
    if (before && endOf(before) > startOf(scope)) found.push({ field, description: "overlaps another scope" });
    return found;
  });
}

function startOf(scope: ReportingScope): Micros {
  return scope.startTime ?? -(1n << 62n);
}

function endOf(scope: ReportingScope): Micros {
  return scope.endTime ?? 1n << 62n;
}

function findCredentialViolations({ credentials }: Carrier): FieldViolation[] {
  if (credentials.length > MAX_CREDENTIALS) {
    return [{ field: "credential_identities", description: `expected at most ${MAX_CREDENTIALS}` }];
  }
  return credentials.flatMap(({ identity }, index) => {
    const description = findIdentityProblem(identity);
    return description === undefined
      ? []
      : [
          {
            field: `credential_identities[${index}].${identity.kind === "jwt" ? "jwt" : IDENTITY_FIELDS[identity.kind]}`,
            description,
          },
        ];
  });
}

const IDENTITY_FIELDS = { spiffe: "spiffe_uri", dns: "dns_name" } as const;

function findIdentityProblem(identity: CredentialIdentity): string | undefined {
  switch (identity.kind) {
    case "jwt":
      return isClaim(identity.issuer) && isClaim(identity.subject)
        ? undefined
        : "expected issuer and subject of 1 to 255 printable characters";
    case "spiffe":
      // SPIFFE ID: a trust domain of lower-case letters, digits, dots, dashes and underscores, and
      // a path without query or fragment.
      return identity.uri.length <= 2_048 && /^spiffe:\/\/[a-z0-9._-]{1,255}(\/[A-Za-z0-9._-]+)+$/.test(identity.uri)
        ? undefined
        : "expected a SPIFFE ID: spiffe://, a trust domain and a path";
    case "dns":
      return isDnsName(identity.name) && identity.name === identity.name.toLowerCase()
        ? undefined
        : "expected a DNS name in lower case";
    default:
      return identity satisfies never;
  }
}

function isClaim(text: string): boolean {
  return text.length >= 1 && text.length <= 255 && text.isWellFormed() && isPrintable(text);
}
