/**
 * What a text field of an answer holds, and so what a reader who may not see parties sees of it.
 */
export type TextClass =
  /** Made by Tandem, or of a form that holds no number: shown. */
  | "PLAIN"
  /**
   * A name by which things are asked for, and that its sender is told not to build from numbers:
   * shown.
   */
  | "NAME"
  /** A number of the platform's own customer, which is what the answer is about: shown. */
  | "OWN_NUMBER"
  /** A number that is masked before it gets here: usage is grouped by what is shown. */
  | "MASKED_BEFORE"
  /** A party's number. */
  | "PARTY"
  /**
   * An id of others, often built from numbers: those that say they are numbers, and those of the
   * record's parties, are masked.
   */
  | "ID"
  /**
   * Free text, or a name that a number may be part of: everything that may be a number is masked.
   */
  | "TEXT"
  /** Part of a chain of hashes, which a change would break: masked when it is written. */
  | "WRITTEN_MASKED"
  /** One side's value of evidence: masked as the field that it is named after. */
  | "EVIDENCE";

/** Fields of these names, of each of these messages. */
const fieldsOf = (scope: string) => (messages: string, fields: string) =>
  messages.split(" ").flatMap((message) => fields.split(" ").map((field) => `tandem.${scope}.v1.${message}.${field}`));
const type = fieldsOf("type");
const platform = fieldsOf("platform");
const carrier = fieldsOf("carrier");

/** Page tokens of lists, and positions of feeds. */
const POSITIONS = [
  ...["ListCarriers", "ListCdrs", "ListNumbers", "ListNumberHistory", "ListRetentionPolicies", "ListHolds"]
    .concat(["ListDisclosures", "ListAuditEvents", "GetReconciliationSummary", "ListDiscrepancies"])
    .concat(["GetReconciliationStatus", "QueryUsage", "ListRestatements"])
    .flatMap((method) => platform(`${method}Response`, "next_page_token")),
  ...["ListCdrs", "ListCdrConsumers", "ListUploads", "ListRejects", "ListDurations", "GetReconciliationSummary"]
    .concat(["ListDiscrepancies", "ListNumbers"])
    .flatMap((method) => carrier(`${method}Response`, "next_page_token")),
  ...carrier("ListNumbersResponse", "watch_cursor"),
  ...carrier("StreamCdrsResponse ResolveCdrCursorResponse WatchNumbersResponse", "cursor"),
  ...carrier("WatchDiscrepanciesResponse CdrConsumer", "cursor"),
];

const FIELDS: Readonly<Record<TextClass, readonly string[]>> = {
  PLAIN: [
    ...POSITIONS,
    ...type("CallDetailRecord CallDuration RecordReference ErasedRecord", "record_date"),
    ...type("Agreement", "legal_country time_zone region sip_domain privacy_statement_version number_ranges"),
    ...type("PartRetention", "purpose legal_basis"),
    ...type("RecordOutcome", "field_path message"),
    ...type("NumberFailure", "message field"),
    ...type("Correlation FeedOpened", "session_id"),
    ...type("Party PhoneNumber", "country_code"),
    ...type("ErasureEntry", "erasure_id"),
    ...type("Discrepancy", "discrepancy_id merged_into_discrepancy_id call_date"),
    ...type("ReconciliationSummaryRow", "call_date"),
    ...platform("Carrier", "legal_country time_zone region sip_domain"),
    ...platform("ClosedPeriod", "time_zone start_date end_date period_id"),
    ...platform("NumberRanges", "prefixes"),
    ...platform("RetentionPolicy", "country_code"),
    ...platform("UsageKey", "country_code usage_date other_party_key"),
    ...platform("Hold", "hold_id"),
    ...platform("HeldPeriod", "start_date end_date"),
    ...platform("Erasure", "erasure_id"),
    ...platform("ErasureException RetentionBound", "source"),
    ...platform("ErasureNotice", "feed"),
    ...platform("PhoneNumberExportHeader", "export_id privacy_statement_version"),
    ...platform("UsageExportHeader", "export_id"),
    ...platform(
      "Disclosure",
      "privacy_statement_version disclosure_id method session_id first_record_date last_record_date",
    ),
    ...platform("VerifyAuditLogResponse", "last_hash"),
    ...platform("CarrierReconciliationStatus", "rejudged_from_date"),
    ...platform("EvidenceValue", "value_name limit_value"),
    ...platform("Restatement", "period_id"),
    ...carrier("EvidenceValue", "value_name limit_value"),
  ],
  NAME: [
    ...type("Agreement CallDetailRecord Discrepancy PhoneNumber ReconciliationSummaryRow", "carrier_id"),
    ...type("RecordOutcome CallDetailRecord CallDuration RecordReference ErasedRecord", "record_id"),
    ...type("Attribution CallDuration Discrepancy PhoneNumber ReconciliationSummaryRow", "customer_id"),
    ...type("UploadReceipt Upload", "upload_id"),
    ...type("CallDetailRecord Discrepancy", "call_id"),
    ...type("CallDuration", "platform_record_id"),
    ...type("PhoneNumber", "location_id"),
    ...platform("Carrier NumberRanges RetentionPolicy Hold ErasureCount ErasureException ErasureNotice", "carrier_id"),
    ...platform(
      "PhoneNumberExportItem Disclosure CarrierReconciliationStatus CallExplanation UsageKey CarrierCompleteness RestatedRecord",
      "carrier_id",
    ),
    ...platform("HeldPeriod ClosedPeriod", "customer_id"),
    ...carrier("CdrConsumer", "consumer"),
  ],
  OWN_NUMBER: [
    ...type("Attribution PhoneNumber NumberOutcome", "phone_number"),
    ...type("PhoneNumber", "sip_uri tel_uri"),
    ...platform("NumberRanges", "approved_numbers"),
    ...platform("NumberApproval UsageKey", "phone_number"),
  ],
  MASKED_BEFORE: [...type("StoredReject", "record_json"), ...platform("UsageKey", "other_party_number")],
  PARTY: [...type("Party", "value")],
  ID: [
    ...type("Correlation", "correlation_id icid"),
    ...type("InterconnectDialog", "call_id from_tag to_tag"),
    ...type("NetworkIdentifiers", "platform_media_address carrier_media_address carrier_signaling_address"),
    ...platform("CredentialIdentity", "spiffe_uri dns_name"),
    ...platform("JwtIdentity", "issuer subject"),
    ...platform("RetentionPolicy", "updated_by"),
    ...platform("Hold", "created_by released_by"),
    ...platform("Erasure", "requested_by"),
    ...platform("ClosedPeriod", "closed_by"),
    ...platform("Disclosure", "credential_id filter_json"),
  ],
  TEXT: [
    ...type("CallRoute CallDuration Discrepancy ReconciliationSummaryRow", "trunk_id"),
    ...type("Agreement", "display_name"),
    ...type("CallOutcome", "reason_phrase close_reason"),
    ...type("NetworkIdentifiers", "user_agent"),
    ...type("CallRoute", "signaling_region media_region codec"),
    ...type("StreamQuality", "codec mos_algorithm"),
    ...type("CallDuration PhoneNumber", "customer_reference"),
    ...type("ActivationFailure", "message"),
    ...platform("EvidenceStep RefusedCandidate NearRecord", "explanation"),
    ...platform("Carrier", "display_name"),
    ...platform("HeldPeriod", "trunk_id"),
    ...platform("RetentionPolicy", "source privacy_statement_version"),
    ...platform("Hold", "case_reference owner release_note"),
    ...platform("Erasure", "case_reference verified_by"),
    ...carrier("EvidenceStep RefusedCandidate NearRecord", "explanation"),
    ...carrier("QualitySummary", "trunk_id codec"),
  ],
  WRITTEN_MASKED: [
    ...platform(
      "AuditEvent",
      "carrier_id actor method resource error_reason request_id changed_fields details_json previous_hash entry_hash",
    ),
  ],
  EVIDENCE: [
    ...platform("EvidenceValue", "platform_value carrier_value"),
    ...carrier("EvidenceValue", "platform_value carrier_value"),
  ],
};

/** The class of each text or bytes field, by its full name. */
export const CLASSES: ReadonlyMap<string, TextClass> = new Map(
  Object.entries(FIELDS).flatMap(([textClass, names]) => names.map((name) => [name, textClass as TextClass] as const)),
);
