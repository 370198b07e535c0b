import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { type Carrier, findCarrierViolations, isCarrierId, isRegion } from "../../domain/carriers/carrier.ts";
import { isCountry } from "../../domain/carriers/country.ts";
import { type FieldViolation, fieldViolations, invalidArgument, TandemError } from "../../domain/errors.ts";
import { keptHorizons } from "../../domain/privacy/retention.ts";
import { later } from "../../domain/time/instant.ts";
import { wallMicros } from "../../domain/time/wall-clock.ts";
import { type Carrier as CarrierMessage, CarrierSchema } from "../../gen/tandem/platform/v1/carrier_pb.js";
import {
  type CarrierService,
  type CreateCarrierRequest,
  CreateCarrierResponseSchema,
  type GetCarrierRequest,
  type ListCarriersRequest,
  type UpdateCarrierRequest,
  UpdateCarrierResponseSchema,
} from "../../gen/tandem/platform/v1/carrier_service_pb.js";
import { CarrierState, ReportingScopeSchema } from "../../gen/tandem/type/v1/agreement_pb.js";
import {
  type CarrierConditions,
  insertCarrier,
  listCarriers as listStoredCarriers,
  readCarrier,
  updateCarrier as updateStoredCarrier,
  writeCredentials,
} from "../../store/carriers/carriers.ts";
import { systemTransaction } from "../../store/database/database.ts";
import type { Tx } from "../../store/database/run.ts";
import { readRetentionDays } from "../../store/privacy/retention-policies.ts";
import { findPlatformViolations } from "../shared/access/platform-identities.ts";
import { act } from "../shared/act.ts";
import type { Methods, Services } from "../shared/context.ts";
import { ListPage } from "../shared/list-page.ts";
import { repeatableCall } from "../shared/repeatable-call.ts";
import { auditCarrier } from "./audit.ts";
import { applyCarrierMask } from "./mask.ts";
import { carrierMessage, inCarrier, readCarrierMessage } from "./message.ts";
import { getNumberRanges, setNumberRanges } from "./number-ranges.ts";

/** How often an update that lost to another is tried again on what that left. */
const MAX_ATTEMPTS = 5;

export const platformCarrierMethods: Methods<typeof CarrierService> = {
  createCarrier,
  getCarrier,
  listCarriers,
  updateCarrier,
  setNumberRanges,
  getNumberRanges,
};

async function getCarrier(services: Services, { carrierId }: GetCarrierRequest) {
  assertCarrierId("carrier_id", carrierId);
  const carrier = await systemTransaction(services.db, (tx) => readCarrier(tx, carrierId));
  if (!carrier) throw carrierNotFound(carrierId);
  return { carrier: carrierMessage(carrier, services.config.sipDomain) };
}

async function createCarrier(services: Services, request: CreateCarrierRequest, context: HandlerContext) {
  const { carrierId } = request;
  const call = repeatableCall(services, request, context);
  const carrier = readNewCarrier(services, request);
  const acting = { context, call, carrierId, schema: CreateCarrierResponseSchema };
  const response = await systemTransaction(services.db, (tx) =>
    act(tx, acting, async () => {
      if (request.carrier?.horizons) await assertHorizonsKept(tx, carrier);
      if (!(await insertCarrier(tx, carrier))) return undefined;
      await putCredentials(tx, carrier);
      const answer = { carrier: carrierMessage(carrier, services.config.sipDomain) };
      return { answer, ...auditCarrier(undefined, carrier) };
    }),
  );
  if (!response) throw new TandemError("CARRIER_ALREADY_EXISTS", "the carrier_id is taken", { carrier_id: carrierId });
  forgetCarrier(services, carrierId);
  return response;
}

async function listCarriers(services: Services, request: ListCarriersRequest, context: HandlerContext) {
  const { sipDomain } = services.config;
  const conditions = readConditions(request);
  const scope = ["platform.ListCarriers", JSON.stringify(conditions)];
  const page = await ListPage.open(services, context, request, scope);
  const found = await systemTransaction(services.db, (tx) =>
    listStoredCarriers(tx, conditions, { afterCarrierId: page.after?.["after"] ?? "", limit: page.limit }),
  );
  const show = (carrier: Carrier) => carrierMessage(carrier, sipDomain);
  const { messages: carriers, last } = await page.cut(found, CarrierSchema, show);
  return { carriers, nextPageToken: page.tokenAfter(last && { after: last.carrierId }) };
}

async function updateCarrier(services: Services, request: UpdateCarrierRequest, context: HandlerContext) {
  const call = repeatableCall(services, request, context);
  const changes = request.carrier;
  if (!changes) throw invalidArgument("carrier", "is required");
  const { carrierId } = changes;
  assertCarrierId("carrier.carrier_id", carrierId);
  const paths = request.updateMask?.paths ?? [];
  applyCarrierMask(create(CarrierSchema), changes, paths);
  const acting = { context, call, carrierId, schema: UpdateCarrierResponseSchema };
  const work = async (tx: Tx) => {
    const current = await readCarrier(tx, carrierId);
    if (!current) throw carrierNotFound(carrierId);
    assertRevision(request.expectedRevision, current.revision);
    const next = changeCarrier(services, current, changes, paths);
    if (paths.some((path) => path.startsWith("horizons"))) await assertHorizonsKept(tx, next);
    if (!(await updateStoredCarrier(tx, next))) return undefined;
    if (paths.includes("credential_identities")) await putCredentials(tx, next);
    return { answer: { carrier: carrierMessage(next, services.config.sipDomain) }, ...auditCarrier(current, next) };
  };
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const response = await systemTransaction(services.db, (tx) => act(tx, acting, () => work(tx)));
    if (!response) continue;
    forgetCarrier(services, carrierId);
    return response;
  }
  throw new TandemError(
    "STORE_UNAVAILABLE",
    "the carrier is being changed by other calls at the same time: call again",
  );
}

function readNewCarrier(services: Services, { carrierId, carrier: message }: CreateCarrierRequest): Carrier {
  if (!message) throw invalidArgument("carrier", "is required");
  assertCarrierId("carrier_id", carrierId);
  if (message.carrierId !== "" && message.carrierId !== carrierId) {
    throw invalidArgument("carrier.carrier_id", "expected nothing, or the same as carrier_id");
  }
  const now = wallMicros();
  const filled = create(CarrierSchema, {
    ...message,
    carrierId,
    state: message.state === CarrierState.UNSPECIFIED ? CarrierState.ACTIVE : message.state,
    reportingScopes: message.reportingScopes.length === 0 ? [create(ReportingScopeSchema)] : message.reportingScopes,
  });
  const carrier = readCarrierMessage(filled, { createTime: now, updateTime: now, revision: 1n });
  assertValid(services, carrier);
  return carrier;
}

function changeCarrier(
  services: Services,
  current: Carrier,
  changes: CarrierMessage,
  paths: readonly string[],
): Carrier {
  const message = applyCarrierMask(carrierMessage(current, undefined), changes, paths);
  const updateTime = later(wallMicros(), current.updateTime);
  const next = readCarrierMessage(message, {
    createTime: current.createTime,
    updateTime,
    revision: current.revision + 1n,
  });
  assertValid(services, next, paths);
  return next;
}

// No more can be agreed than records' counterparts are kept.
async function assertHorizonsKept(tx: Tx, carrier: Carrier): Promise<void> {
  const kept = keptHorizons(carrier.horizons, await readRetentionDays(tx, carrier));
  if (kept.laterDays === carrier.horizons.laterDays && kept.firstDays === carrier.horizons.firstDays) return;
  throw invalidArgument("carrier.horizons", `expected at most ${kept.laterDays} days, as long as records are kept`);
}

// An issuer no longer trusted and a zone's old name do not keep other fields from being changed.
function assertValid(services: Services, carrier: Carrier, paths?: readonly string[]): void {
  const isGiven = (field: string) => paths === undefined || paths.includes(field);
  const found = findCarrierViolations(carrier).filter(({ field }) => field !== "time_zone" || isGiven(field));
  if (isGiven("credential_identities")) {
    found.push(...findIssuerViolations(carrier, services.config.tokens.issuer));
    found.push(...findPlatformViolations(carrier, services.config));
  }
  if (found.length > 0) throw fieldViolations(inCarrier(found));
}

function findIssuerViolations({ credentials }: Carrier, trusted: string): FieldViolation[] {
  return credentials.flatMap(({ identity }, index) => {
    if (identity.kind !== "jwt" || identity.issuer === trusted) return [];
    return [
      { field: `credential_identities[${index}].jwt.issuer`, description: "is not an issuer that this server trusts" },
    ];
  });
}

async function putCredentials(tx: Tx, carrier: Carrier): Promise<void> {
  const taken = await writeCredentials(tx, carrier);
  if (!taken) return;
  const message = "a credential identity belongs to another carrier";
  throw new TandemError("CREDENTIAL_IN_USE", message, { carrier_id: taken.carrierId });
}

function readConditions({ state, legalCountry, region }: ListCarriersRequest): CarrierConditions {
  if (CarrierState[state] === undefined) throw invalidArgument("state", "expected ACTIVE or SUSPENDED");
  if (legalCountry !== undefined && !isCountry(legalCountry))
    throw invalidArgument("legal_country", "expected an ISO 3166-1 alpha-2 code");
  if (region !== undefined && !isRegion(region))
    throw invalidArgument("region", "expected 1 to 32 characters of a-z, 0-9 and -");
  const suspended = state === CarrierState.UNSPECIFIED ? undefined : state === CarrierState.SUSPENDED;
  return { suspended, legalCountry, region };
}

function assertRevision(expected: bigint | undefined, actual: bigint): void {
  if (expected === undefined || expected === actual) return;
  const message = `the carrier is at revision ${actual}, not ${expected}: read it again`;
  throw new TandemError("REVISION_MISMATCH", message, { expected: String(expected), actual: String(actual) });
}

function assertCarrierId(field: string, carrierId: string): void {
  if (isCarrierId(carrierId)) return;
  throw invalidArgument(field, "expected 3 to 32 characters of a-z, 0-9 and -, the first a letter");
}

function carrierNotFound(carrierId: string): TandemError {
  return new TandemError("CARRIER_NOT_FOUND", "no carrier with this id", { carrier_id: carrierId });
}

// Other processes follow within two seconds.
function forgetCarrier(services: Services, carrierId: string): void {
  services.carriers.forget(carrierId);
  services.access.forget();
}
