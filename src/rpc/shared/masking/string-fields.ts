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

/**
 * The class of a text or bytes field by its full name; undefined for one that nobody has
 * classified.
 */
export function textClassOf(fieldName: string): TextClass | undefined {
  return CLASSES.get(fieldName);
}

/** Every field that has a class, by full name. */
export function classifiedFields(): readonly string[] {
  return [...CLASSES.keys()];
}

const type = (message: string, fields: string) =>
  fields.split(" ").map((field) => `tandem.type.v1.${message}.${field}`);
const platform = (message: string, fields: string) =>
  fields.split(" ").map((field) => `tandem.platform.v1.${message}.${field}`);
const carrier = (message: string, fields: string) =>
  fields.split(" ").map((field) => `tandem.carrier.v1.${message}.${field}`);

/** Page tokens of lists, and positions of feeds. */
const POSITIONS = [
  ...["ListCarriers", "ListCdrs", "ListNumbers", "ListNumberHistory", "ListRetentionPolicies", "ListHolds"]
    .concat(["ListDisclosures", "ListAuditEvents", "GetReconciliationSummary", "ListDiscrepancies"])
    .concat(["GetReconciliationStatus", "QueryUsage", "ListRestatements"])
    .flatMap((method) => platform(`${method}Response`, "next_page_token")),
  ...["ListCdrs", "ListCdrConsumers", "ListUploads", "ListRejects", "ListDurations", "GetReconciliationSummary"]
    .concat(["ListDiscrepancies"])
    .flatMap((method) => carrier(`${method}Response`, "next_page_token")),
  ...carrier("ListNumbersResponse", "next_page_token watch_cursor"),
  ...["StreamCdrs", "ResolveCdrCursor", "WatchNumbers", "WatchDiscrepancies"].flatMap((method) =>
    carrier(`${method}Response`, "cursor"),
  ),
  ...carrier("CdrConsumer", "cursor"),
];

const FIELDS: Readonly<Record<TextClass, readonly string[]>> = {
  PLAIN: [
    ...POSITIONS,
    ...platform("Carrier", "legal_country time_zone region sip_domain"),
    ...type("Agreement", "legal_country time_zone region sip_domain privacy_statement_version"),
    ...platform("NumberRanges", "prefixes"),
    ...type("Agreement", "number_ranges"),
    ...type("PartRetention", "purpose legal_basis"),
    ...platform("RetentionPolicy", "country_code"),
    ...type("RecordOutcome", "field_path message"),
    ...type("NumberFailure", "field message"),
    ...type("CallDetailRecord", "record_date"),
    ...type("CallDuration", "record_date"),
    ...type("RecordReference", "record_date"),
    ...type("ErasedRecord", "record_date"),
    ...type("Correlation", "session_id"),
    ...type("Party", "country_code"),
    ...type("PhoneNumber", "country_code"),
    ...platform("Hold", "hold_id"),
    ...platform("HeldPeriod", "start_date end_date"),
    ...platform("Erasure", "erasure_id"),
    ...type("ErasureEntry", "erasure_id"),
    ...platform("ErasureException", "source"),
    ...platform("RetentionBound", "source"),
    ...platform("ErasureNotice", "feed"),
    ...platform("PhoneNumberExportHeader", "export_id privacy_statement_version"),
    ...type("Discrepancy", "discrepancy_id merged_into_discrepancy_id call_date"),
    ...platform("Disclosure", "disclosure_id method session_id first_record_date last_record_date"),
    ...platform("Disclosure", "privacy_statement_version"),
    ...platform("VerifyAuditLogResponse", "last_hash"),
    ...type("ReconciliationSummaryRow", "call_date"),
    ...platform("CarrierReconciliationStatus", "rejudged_from_date"),
    ...platform("EvidenceValue", "value_name limit_value"),
    ...carrier("EvidenceValue", "value_name limit_value"),
    ...platform("UsageKey", "usage_date country_code other_party_key"),
    ...platform("UsageExportHeader", "export_id"),
    ...platform("ClosedPeriod", "period_id start_date end_date time_zone"),
    ...platform("Restatement", "period_id"),
    ...type("FeedOpened", "session_id"),
  ],
  NAME: [
    ...platform("Carrier", "carrier_id"),
    ...platform("NumberRanges", "carrier_id"),
    ...type("Agreement", "carrier_id"),
    ...type("UploadReceipt", "upload_id"),
    ...type("Upload", "upload_id"),
    ...type("RecordOutcome", "record_id"),
    ...type("CallDetailRecord", "record_id carrier_id call_id"),
    ...type("Attribution", "customer_id"),
    ...type("CallDuration", "record_id platform_record_id customer_id"),
    ...type("RecordReference", "record_id"),
    ...type("ErasedRecord", "record_id"),
    ...type("Discrepancy", "carrier_id call_id customer_id"),
    ...type("PhoneNumber", "carrier_id customer_id location_id"),
    ...type("ReconciliationSummaryRow", "carrier_id customer_id"),
    ...platform("RetentionPolicy", "carrier_id"),
    ...platform("Hold", "carrier_id"),
    ...platform("HeldPeriod", "customer_id"),
    ...["ErasureCount", "ErasureException", "ErasureNotice", "PhoneNumberExportItem", "Disclosure"].flatMap((message) =>
      platform(message, "carrier_id"),
    ),
    ...["CarrierReconciliationStatus", "CallExplanation", "UsageKey", "CarrierCompleteness", "RestatedRecord"].flatMap(
      (message) => platform(message, "carrier_id"),
    ),
    ...platform("ClosedPeriod", "customer_id"),
    ...carrier("CdrConsumer", "consumer"),
  ],
  OWN_NUMBER: [
    ...platform("NumberRanges", "approved_numbers"),
    ...platform("NumberApproval", "phone_number"),
    ...type("Attribution", "phone_number"),
    ...type("PhoneNumber", "phone_number sip_uri tel_uri"),
    ...type("NumberOutcome", "phone_number"),
    ...platform("UsageKey", "phone_number"),
  ],
  MASKED_BEFORE: [...platform("UsageKey", "other_party_number"), ...type("StoredReject", "record_json")],
  PARTY: type("Party", "value"),
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
    ...platform("Carrier", "display_name"),
    ...type("Agreement", "display_name"),
    ...type("CallOutcome", "reason_phrase close_reason"),
    ...type("NetworkIdentifiers", "user_agent"),
    ...type("CallRoute", "trunk_id signaling_region media_region codec"),
    ...type("StreamQuality", "mos_algorithm codec"),
    ...type("CallDuration", "customer_reference trunk_id"),
    ...type("Discrepancy", "trunk_id"),
    ...type("ReconciliationSummaryRow", "trunk_id"),
    ...carrier("QualitySummary", "trunk_id codec"),
    ...platform("HeldPeriod", "trunk_id"),
    ...platform("EvidenceStep", "explanation"),
    ...platform("RefusedCandidate", "explanation"),
    ...platform("NearRecord", "explanation"),
    ...carrier("EvidenceStep", "explanation"),
    ...carrier("RefusedCandidate", "explanation"),
    ...carrier("NearRecord", "explanation"),
    ...type("PhoneNumber", "customer_reference"),
    ...type("ActivationFailure", "message"),
    ...platform("RetentionPolicy", "source privacy_statement_version"),
    ...platform("Hold", "case_reference owner release_note"),
    ...platform("Erasure", "case_reference verified_by"),
  ],
  WRITTEN_MASKED: platform(
    "AuditEvent",
    "carrier_id actor method resource error_reason request_id changed_fields details_json previous_hash entry_hash",
  ),
  EVIDENCE: [
    ...platform("EvidenceValue", "platform_value carrier_value"),
    ...carrier("EvidenceValue", "platform_value carrier_value"),
  ],
};

const CLASSES: ReadonlyMap<string, TextClass> = new Map(
  Object.entries(FIELDS).flatMap(([textClass, names]) => names.map((name) => [name, textClass as TextClass] as const)),
);
