import { TandemError } from "../../domain/errors.ts";
import { type CountedRecords, countIfSound, type ElementBounds, type ElementCount } from "./count-elements.ts";
import { countJson } from "./count-json.ts";
import type { RawMessage } from "./raw-messages.ts";
import type { RecordPath } from "./record-paths.ts";
import { splitJson } from "./split-json.ts";

/**
 * Counts the values of a JSON request with records. What is wrong with a record is no fault of the
 * message: the record is never decoded.
 * @throws TandemError MESSAGE_TOO_LARGE, BATCH_TOO_LARGE, INVALID_ARGUMENT
 */
export function countRecordsJson(
  records: CountedRecords & { readonly path: RecordPath },
  bytes: Uint8Array,
  bounds: ElementBounds,
): ElementCount & Required<Pick<RawMessage, "split">> {
  const split = splitJson(records.path, bytes, records.most);
  if (!split) throw new TandemError("INVALID_ARGUMENT", "the message is not valid JSON for this method", { field: "" });
  let { elements, objects } = countJson(split.head, bounds);
  for (let at = 0; at < split.bounds.length; at += 2) {
    const record = bytes.subarray(split.bounds[at], split.bounds[at + 1]);
    const counted = countIfSound(() => countJson(record, records.bounds));
    elements += counted.elements + 1;
    objects += counted.objects;
  }
  return { elements, objects, split };
}
