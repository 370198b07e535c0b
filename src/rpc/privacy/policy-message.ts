import type { MessageInitShape } from "@bufbuild/protobuf";
import type { PolicyInForce } from "../../domain/privacy/retention.ts";
import { type Bound, findRule } from "../../domain/privacy/retention-law.ts";
import { timestampFromMicros } from "../../domain/time/instant.ts";
import type { RetentionPolicySchema } from "../../gen/tandem/platform/v1/retention_policy_pb.js";
import type { StoredPolicy } from "../../store/privacy/retention-policies.ts";

/** A policy in force as a message, with what its country's law asks. */
export function policyMessage(policy: StoredPolicy | PolicyInForce): MessageInitShape<typeof RetentionPolicySchema> {
  const { countryCode, carrierId, part, purpose } = policy;
  const { minimum, maximum, initial } = findRule(countryCode, part, purpose);
  return {
    countryCode,
    ...(carrierId === undefined ? {} : { carrierId }),
    recordPart: part,
    purpose,
    legalBasis: policy.legalBasis,
    retentionDays: policy.retentionDays,
    source: policy.source,
    privacyStatementVersion: policy.privacyStatementVersion,
    ...(minimum ? { minimum: boundMessage(minimum) } : {}),
    ...(maximum ? { maximum: boundMessage(maximum) } : {}),
    ...(initial ? { initial: boundMessage(initial) } : {}),
    initialInForce: policy.revision === 0n,
    revision: policy.revision,
    ...("updateTime" in policy
      ? { updateTime: timestampFromMicros(policy.updateTime), updatedBy: policy.updatedBy }
      : {}),
  };
}

function boundMessage({ days, source }: Bound) {
  return { dayCount: days, source };
}
