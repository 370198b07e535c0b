import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouter, ConnectRouterOptions, HandlerContext, ServiceImpl } from "@connectrpc/connect";
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
import { agreementMethods } from "./carriers/agreement.ts";
import { platformCarrierMethods } from "./carriers/service.ts";
import { carrierCdrMethods } from "./cdrs/carrier.ts";
import { platformCdrMethods } from "./cdrs/platform.ts";
import { durationMethods } from "./durations/carrier.ts";
import { carrierNumberMethods } from "./numbers/carrier.ts";
import { platformNumberMethods } from "./numbers/platform.ts";
import { ProbeLimit } from "./numbers/probe-limit.ts";
import { privacyMethods } from "./privacy/service.ts";
import { carrierReconciliationMethods } from "./reconciliation/carrier.ts";
import { platformReconciliationMethods } from "./reconciliation/platform.ts";
import type { Methods, Services } from "./shared/context.ts";
import { usageMethods } from "./usage/service.ts";

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
  const bound = <S extends DescService>(service: S, methods: Methods<S>) => {
    const implementation = Object.entries(methods as Record<string, Method>).map(([name, method]) => {
      return [name, (request: never, context: HandlerContext) => method(services, request, context)];
    });
    return route(service, Object.fromEntries(implementation) as ServiceImpl<S>);
  };
  return [
    bound(AgreementService, agreementMethods),
    bound(NumberService, carrierNumberMethods(new ProbeLimit(services.config.limits.maxUnavailablePerHour))),
    bound(CdrService, carrierCdrMethods),
    bound(DurationService, durationMethods),
    bound(ReconciliationService, carrierReconciliationMethods),
    bound(CarrierService, platformCarrierMethods),
    bound(PlatformNumberService, platformNumberMethods),
    bound(PlatformCdrService, platformCdrMethods),
    bound(PlatformReconciliationService, platformReconciliationMethods),
    bound(UsageService, usageMethods),
    bound(PrivacyService, privacyMethods),
  ];
}

type Method = (services: Services, request: never, context: HandlerContext) => unknown;
