import type { PhoneNumberExportItem } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import {
  type DisclosedRecord,
  disclosedCdrs,
  disclosedDiscrepancies,
  disclosedDurations,
  disclosedNumbers,
} from "../shared/disclosure/disclosed-records.ts";

/** The record that an item of an export delivers, as the disclosure log names it. */
export function disclosedItem({ carrierId, item }: PhoneNumberExportItem): DisclosedRecord[] {
  switch (item.case) {
    case "phoneNumber":
      return disclosedNumbers([item.value]);
    case "callDetailRecord":
      return disclosedCdrs([item.value]);
    case "callDuration":
      return disclosedDurations(carrierId, [item.value]);
    case "discrepancy":
      return disclosedDiscrepancies([item.value]);
    case "approval":
    case "disclosure":
    case undefined:
      return [];
    default:
      return item satisfies never;
  }
}
