import { create, type DescField, type Message } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { type FieldViolation, fieldViolations } from "../../domain/errors.ts";
import { type Carrier, CarrierSchema } from "../../gen/tandem/platform/v1/carrier_pb.js";

const IMMUTABLE: ReadonlySet<string> = new Set(["carrier_id", "legal_country"]);
const OUTPUT_ONLY: ReadonlySet<string> = new Set(["create_time", "update_time", "revision"]);
/** Messages whose fields can be named one by one. */
const OPEN_MESSAGES: ReadonlySet<string> = new Set(["tolerances", "thresholds", "horizons", "rounding_rule"]);
const MAX_PATHS = 100;

/**
 * Takes the fields of a mask from one carrier into a copy of another (AIP-134); absent ones are
 * cleared.
 * @throws TandemError INVALID_ARGUMENT with every wrong path.
 */
export function applyCarrierMask(current: Carrier, changes: Carrier, paths: readonly string[]): Carrier {
  const wrong: FieldViolation[] = [];
  const complain = (description: string) => wrong.push({ field: "update_mask", description });
  if (paths.length === 0) complain("is required: name at least one field");
  if (paths.length > MAX_PATHS) complain(`expected at most ${MAX_PATHS} paths`);
  const result = reflect(CarrierSchema, current);
  const source = reflect(CarrierSchema, changes);
  for (const path of paths.slice(0, MAX_PATHS)) {
    const problem = findPathProblem(path);
    if (problem) complain(`${JSON.stringify(path.slice(0, 64))} ${problem}`);
    else copyPath(result, source, path.split("."));
  }
  if (wrong.length > 0) throw fieldViolations(wrong);
  return current;
}

function findPathProblem(path: string): string | undefined {
  if (path === "*") return "would clear what an older client does not know: name the fields";
  const [name = "", inner, ...rest] = path.split(".");
  const field = fieldOf(CarrierSchema.fields, name);
  if (!field) return "is not a field of Carrier";
  if (IMMUTABLE.has(name)) return "cannot be changed";
  if (OUTPUT_ONLY.has(name)) return "is output only";
  if (inner === undefined) return undefined;
  const isOpen = OPEN_MESSAGES.has(name) && field.fieldKind === "message";
  return isOpen && rest.length === 0 && fieldOf(field.message.fields, inner) ? undefined : "is not a field of Carrier";
}

function copyPath(target: ReflectMessage, source: ReflectMessage, [name = "", inner]: readonly string[]): void {
  const field = fieldOf(target.fields, name);
  if (!field) return;
  if (inner === undefined) {
    if (source.isSet(field)) target.set(field, source.get(field));
    else target.clear(field);
    return;
  }
  if (field.fieldKind !== "message") return;
  const empty = () => reflect(field.message, create(field.message) as Message);
  const outer = target.isSet(field) ? (target.get(field) as ReflectMessage) : empty();
  copyPath(outer, source.isSet(field) ? (source.get(field) as ReflectMessage) : empty(), [inner]);
  target.set(field, outer);
}

function fieldOf(fields: readonly DescField[], name: string): DescField | undefined {
  return fields.find((field) => field.name === name);
}
