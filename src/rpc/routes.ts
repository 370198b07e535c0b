import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouter, ConnectRouterOptions, ServiceImpl } from "@connectrpc/connect";
import { AgreementService } from "../gen/tandem/carrier/v1/agreement_service_pb.js";
import { CdrService } from "../gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../gen/tandem/carrier/v1/duration_service_pb.js";
import { NumberService } from "../gen/tandem/carrier/v1/number_service_pb.js";
import { ReconciliationService } from "../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { CarrierService } from "../gen/tandem/platform/v1/carrier_service_pb.js";
import { CdrService as PlatformCdrService } from "../gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { NumberService as PlatformNumberService } from "../gen/tandem/platform/v1/platform_number_service_pb.js";
import { ReconciliationService as PlatformReconciliationService } from "../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { PrivacyService } from "../gen/tandem/platform/v1/privacy_service_pb.js";
import { UsageService } from "../gen/tandem/platform/v1/usage_service_pb.js";
import { agreementService } from "./carriers/agreement.ts";
import { platformCarrierService } from "./carriers/service.ts";
import { carrierCdrService } from "./cdrs/carrier.ts";
import { ingestCdrs, platformCdrService } from "./cdrs/platform.ts";
import { appendDurations, durationService, uploadDurations } from "./durations/carrier.ts";
import { registerRaw, registerRawUnary } from "./intake/raw-messages.ts";
import { readAppended, readCdrFrame, readDurationFrame } from "./intake/record-requests.ts";
import { carrierNumberService } from "./numbers/carrier.ts";
import { platformNumberService } from "./numbers/platform.ts";
import { privacyService } from "./privacy/service.ts";
import { carrierReconciliationService } from "./reconciliation/carrier.ts";
import { platformReconciliationService } from "./reconciliation/platform.ts";
import type { Services } from "./shared/context.ts";
import { readEach } from "./shared/message-steps.ts";
import { usageService } from "./usage/service.ts";

/** A service of the contract and how it is registered. */
export interface Route {
  readonly service: DescService;
  register(router: ConnectRouter): void;
}

/**
 * Binds a service to its implementation. A method that the implementation lacks answers
 * UNIMPLEMENTED.
 */
export function route<S extends DescService>(
  service: S,
  implementation: Partial<ServiceImpl<S>>,
  options?: ConnectRouterOptions,
): Route {
  return { service, register: (router) => void router.service(service, implementation, options) };
}

/** Every service of the contract. */
export function listRoutes(services: Services): Route[] {
  return [
    route(AgreementService, agreementService(services)),
    route(NumberService, carrierNumberService(services)),
    route(CdrService, carrierCdrService(services)),
    durationRoute(services),
    route(ReconciliationService, carrierReconciliationService(services)),
    route(CarrierService, platformCarrierService(services)),
    route(PlatformNumberService, platformNumberService(services)),
    platformCdrRoute(services),
    route(PlatformReconciliationService, platformReconciliationService(services)),
    route(UsageService, usageService(services)),
    route(PrivacyService, privacyService(services)),
  ];
}

// The records of uploads are read one by one, each for itself: one that cannot be read is refused
// alone.
function platformCdrRoute(services: Services): Route {
  return {
    service: PlatformCdrService,
    register(router) {
      router.service(PlatformCdrService, platformCdrService(services));
      registerRaw(router, PlatformCdrService.method.ingestCdrs, (messages, context) =>
        ingestCdrs(services, readEach(messages, readCdrFrame), context),
      );
    },
  };
}

function durationRoute(services: Services): Route {
  return {
    service: DurationService,
    register(router) {
      router.service(DurationService, durationService(services));
      registerRaw(router, DurationService.method.uploadDurations, (messages, context) =>
        uploadDurations(services, readEach(messages, readDurationFrame), context),
      );
      registerRawUnary(router, DurationService.method.appendDurations, (message, context) =>
        appendDurations(services, readAppended(message), context),
      );
    },
  };
}
