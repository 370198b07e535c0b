import type { HandlerContext } from "@connectrpc/connect";
import { PRIVACY_STATEMENT_VERSION, wordsOf } from "../../domain/privacy/retention.ts";
import { timestampFromMicros } from "../../domain/time/instant.ts";
import type { AgreementService } from "../../gen/tandem/carrier/v1/agreement_service_pb.js";
import { systemTransaction } from "../../store/database/database.ts";
import { readLostSince } from "../../store/feeds/feed-head.ts";
import { readPrefixes } from "../../store/numbers/number-ranges.ts";
import { readCarrierPolicies } from "../../store/privacy/retention-policies.ts";
import { carrierOf } from "../shared/access/caller.ts";
import { type Methods, requireCarrier, type Services } from "../shared/context.ts";
import { limitsMessage } from "../shared/upload-frames.ts";
import { agreedFields } from "./message.ts";

export const agreementMethods: Methods<typeof AgreementService> = { getAgreement };

async function getAgreement(services: Services, _: unknown, context: HandlerContext) {
  const { carrierId, expiresAt } = carrierOf(context);
  const carrier = await requireCarrier(services, carrierId);
  const { policies, numberRanges, lostSince } = await systemTransaction(services.db, async (tx) => ({
    lostSince: await readLostSince(tx, carrierId),
    policies: await readCarrierPolicies(tx, carrier),
    numberRanges: await readPrefixes(tx, carrierId),
  }));
  return {
    agreement: {
      carrierId,
      displayName: carrier.displayName,
      legalCountry: carrier.legalCountry,
      timeZone: carrier.timeZone,
      region: carrier.region,
      sipDomain: carrier.sipDomain ?? services.config.sipDomain,
      ...agreedFields(carrier),
      graceMs: carrier.graceMs,
      retentions: policies.map((policy) => ({
        recordPart: policy.part,
        ...wordsOf(policy),
        retentionDays: policy.retentionDays,
      })),
      privacyStatementVersion: PRIVACY_STATEMENT_VERSION,
      limits: limitsMessage(services.config.limits),
      ...(expiresAt === undefined ? {} : { credentialExpireTime: timestampFromMicros(expiresAt) }),
      updateTime: timestampFromMicros(carrier.updateTime),
      revision: carrier.revision,
      numberRanges,
      ...(lostSince === undefined ? {} : { lostSince: timestampFromMicros(lostSince) }),
    },
  };
}
