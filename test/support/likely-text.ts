/** A text that a field of this name would take, of the carrier `acme` of two-carriers.ts. */
export function likelyText(field: string, dates: { readonly startDate: string; readonly endDate: string }): string {
  return field in TEXTS ? (TEXTS[field] ?? "") : (dateOf(field, dates) ?? `${field}-1`);
}

function dateOf(field: string, { startDate, endDate }: { readonly startDate: string; readonly endDate: string }) {
  if (field.startsWith("end_") && field.endsWith("date")) return endDate;
  return field.endsWith("date") ? startDate : undefined;
}

const TEXTS: Readonly<Record<string, string>> = {
  carrier_id: "acme",
  to_carrier_id: "bolt",
  carrier_ids: "acme",
  phone_number: "+441632960101",
  phone_numbers: "+441632960101",
  value: "+441632960101",
  number_prefix: "",
  customer_id: "acme-customer",
  customer_ids: "acme-customer",
  record_id: "acme-record-0",
  platform_record_id: "acme-record-0",
  carrier_record_id: "acme-duration-1",
  discrepancy_id: "acme-discrepancy-0",
  upload_id: "acme-upload-open",
  consumer: "acme-consumer-a",
  trunk_id: "acme-trunk",
  trunk_ids: "acme-trunk",
  page_token: "",
  cursor: "",
  country_code: "GB",
  country_codes: "GB",
  legal_country: "GB",
  time_zone: "UTC",
  region: "",
  sip_domain: "acme.example",
  period_id: "",
  actor: "",
  method: "",
};
