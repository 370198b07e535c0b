import type { DisclosedFilter } from "./disclosure.ts";
import { maskInternational, maskNumbers } from "./masking.ts";

/** Characters. */
const MAX_LENGTH = 4_096;
/** Lists that are too long keep this many values. */
const KEPT_VALUES = 10;
/** Positions and request ids are not part of the filter. */
const NO_FILTER = new Set(["page_size", "page_token", "request_id", "start", "end"]);
const NUMBER_FIELDS = new Set(["phone_number", "phone_numbers"]);
/** Trunk groups and cases are often named after a number without its plus sign. */
const TEXT_FIELDS = new Set(["trunk_id", "trunk_ids", "case_reference", "verified_by"]);

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/**
 * A request as canonical JSON, without paging, with hashes for numbers. Long lists are cut and
 * counted.
 * @param request JSON with the contract's field names.
 */
export function disclosedFilter(request: Json, hash: (number: string) => string): DisclosedFilter {
  const state = { hasNumber: false };
  const hashed = (number: string) => {
    state.hasNumber = true;
    return hash(number);
  };
  const filter = canonical(request, hashed, "");
  const json = JSON.stringify(filter);
  if (json.length <= MAX_LENGTH) return { json, ...state };
  const cut = JSON.stringify(cutLists(filter));
  // No method takes a request whose field names alone are too long.
  return cut.length <= MAX_LENGTH ? { json: cut, ...state } : { json: '{"too_long":true}', hasNumber: false };
}

function canonical(value: Json, hash: (number: string) => string, field: string): Json {
  if (typeof value === "string") return canonicalText(value, hash, field);
  if (value === null || typeof value !== "object") return value;
  if (isList(value)) return value.map((each) => canonical(each, hash, field));
  const names = Object.keys(value).filter((name) => field !== "" || !NO_FILTER.has(name));
  return Object.fromEntries(names.sort().map((name) => [name, canonical(value[name] ?? null, hash, name)]));
}

// Other spellings are masked: nobody could find their hash.
function canonicalText(text: string, hash: (number: string) => string, field: string): string {
  if (NUMBER_FIELDS.has(field)) return hash(text);
  const mask = TEXT_FIELDS.has(field) ? maskNumbers : maskInternational;
  const parts = text.split(/(\+\d{6,15})/);
  return parts.map((part, at) => (at % 2 === 1 ? hash(part) : mask(part))).join("");
}

function cutLists(value: Json): Json {
  if (value === null || typeof value !== "object") return value;
  if (isList(value)) {
    const kept = value.slice(0, KEPT_VALUES).map(cutLists);
    return value.length > KEPT_VALUES ? [...kept, `and ${value.length - KEPT_VALUES} more`] : kept;
  }
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, cutLists(each)]));
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
