import type { PhoneNumberExportItem } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import type { DisclosedRecords } from "../shared/disclosure/disclose.ts";
import {
  disclosedCdrs,
  disclosedDiscrepancies,
  disclosedDurations,
  disclosedNumbers,
} from "../shared/disclosure/disclosed-records.ts";
import type { ExportedItem } from "./export-records.ts";

/** The records that items of an export deliver, as the disclosure log names them. */
export function disclosedItems(items: readonly PhoneNumberExportItem[]): DisclosedRecords[] {
  const carrierId = items[0]?.carrierId ?? "";
  return [
    ...disclosedNumbers(valuesOf(items, "phoneNumber")),
    ...disclosedCdrs(valuesOf(items, "callDetailRecord")),
    disclosedDurations(carrierId, valuesOf(items, "callDuration")),
    ...disclosedDiscrepancies(valuesOf(items, "discrepancy")),
  ];
}

type ValueOf<Case> = Extract<ExportedItem, { case: Case }>["value"];

function valuesOf<Case extends ExportedItem["case"]>(
  items: readonly PhoneNumberExportItem[],
  name: Case,
): ValueOf<Case>[] {
  return items.flatMap(({ item }) => (item.case === name ? [item.value as ValueOf<Case>] : []));
}
