import type { DescMethod, DescMethodServerStreaming, DescMethodUnary, Message, MessageShape } from "@bufbuild/protobuf";
import { isCarrierId } from "../../../domain/carriers/carrier.ts";
import { NumberService } from "../../../gen/tandem/carrier/v1/number_service_pb.js";
import { CarrierService } from "../../../gen/tandem/platform/v1/carrier_service_pb.js";
import { NumberService as PlatformNumberService } from "../../../gen/tandem/platform/v1/platform_number_service_pb.js";
import { PrivacyService } from "../../../gen/tandem/platform/v1/privacy_service_pb.js";
import { UsageService } from "../../../gen/tandem/platform/v1/usage_service_pb.js";

/** The target of a call that was refused. */
export interface ActTarget {
  /** The kind of resource; with its id, if the request has one of our form. */
  readonly resource: string;
  /** Whose audit chain it goes into, when the platform calls. */
  readonly carrierId?: string | undefined;
}

/**
 * Whether a method is an administrative act: the audit log has each of its calls, done or refused.
 * A test walks the contract.
 */
export function isAdministrativeAct(method: DescMethod): boolean {
  return ACTS.has(method);
}

/** The target of a call. For a request that was not read: its kind. */
export function targetOf(method: DescMethod, request: Message | undefined): ActTarget {
  const act = ACTS.get(method);
  if (!act) throw new Error(`${method.name} is no administrative act`);
  return request ? act.read(request) : { resource: act.kind };
}

interface Act {
  readonly kind: string;
  readonly read: (request: Message) => ActTarget;
}

function act<M extends DescMethodUnary | DescMethodServerStreaming>(
  method: M,
  kind: string,
  read: (request: MessageShape<M["input"]>) => { id?: string; carrierId?: string | undefined } = () => ({}),
): [DescMethod, Act] {
  const readTarget = (request: Message): ActTarget => {
    const { id, carrierId = "" } = read(request as MessageShape<M["input"]>);
    return {
      resource: id === undefined ? kind : `${kind}/${id}`,
      carrierId: isCarrierId(carrierId) ? carrierId : undefined,
    };
  };
  return [method, { kind, read: readTarget }];
}

// Ids that are not of our form are left out: somebody who confuses two fields may have written a
// phone number into it.
const carrier = (carrierId = "") => (isCarrierId(carrierId) ? { id: carrierId, carrierId } : {});
const uuid = (id: string) => (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id) ? { id } : {});
const count = (items: readonly unknown[], carrierId?: string) => ({ id: String(items.length), carrierId });

const ACTS: ReadonlyMap<DescMethod, Act> = new Map([
  act(CarrierService.method.createCarrier, "carrier", ({ carrierId }) => carrier(carrierId)),
  act(CarrierService.method.updateCarrier, "carrier", (request) => carrier(request.carrier?.carrierId)),
  act(CarrierService.method.setNumberRanges, "carrier", ({ carrierId }) => carrier(carrierId)),
  act(NumberService.method.provisionNumbers, "numbers", ({ items }) => count(items)),
  act(NumberService.method.releaseNumbers, "numbers", ({ phoneNumbers }) => count(phoneNumbers)),
  act(PlatformNumberService.method.assignNumbers, "numbers", ({ items, carrierId }) => count(items, carrierId)),
  act(PlatformNumberService.method.unassignNumbers, "numbers", ({ phoneNumbers, carrierId }) =>
    count(phoneNumbers, carrierId),
  ),
  act(PlatformNumberService.method.portNumbers, "numbers", ({ phoneNumbers, carrierId }) =>
    count(phoneNumbers, carrierId),
  ),
  act(UsageService.method.closePeriod, "period"),
  act(PrivacyService.method.setRetentionPolicy, "retention-policy", ({ policy }) => ({ carrierId: policy?.carrierId })),
  act(PrivacyService.method.createHold, "hold", ({ hold }) => ({ carrierId: hold?.carrierId })),
  act(PrivacyService.method.releaseHold, "hold", ({ holdId }) => uuid(holdId)),
  act(PrivacyService.method.erasePhoneNumber, "erasure"),
  // It changes nothing, but hands out everything that is known of a person.
  act(PrivacyService.method.exportPhoneNumber, "export"),
]);
