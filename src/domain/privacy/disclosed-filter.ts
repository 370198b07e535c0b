import type { DisclosedFilter } from "./disclosure.ts";
import { maskInternational, maskNumbers } from "./masking.ts";

/** Longest filter that is kept, characters. */
const MAX_LENGTH = 4_096;
/** Of lists that make it longer, so many of the first values are kept. */
const KEPT_VALUES = 10;
/** Where a page or a stream stands is no filter, and what makes a call repeatable neither. */
const NO_FILTER = new Set(["page_size", "page_token", "request_id", "start", "end"]);
const NUMBER_FIELDS = new Set(["phone_number", "phone_numbers"]);
/**
 * Words of somebody's, masked as elsewhere: trunk groups and cases are often named after a number,
 * without its plus sign.
 */
const TEXT_FIELDS = new Set(["trunk_id", "trunk_ids", "case_reference", "verified_by"]);

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/**
 * A request as canonical JSON: names sorted, no spaces, every number replaced by its hash, without
 * what only pages. Lists that would make it too long are cut to their first values, and say how
 * many there were.
 * @param request as JSON with the contract's names of fields.
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
  // What names of fields alone would fill is no request that any method takes.
  return cut.length <= MAX_LENGTH ? { json: cut, ...state } : { json: '{"too_long":true}', hasNumber: false };
}

function canonical(value: Json, hash: (number: string) => string, field: string): Json {
  if (typeof value === "string") return canonicalText(value, hash, field);
  if (value === null || typeof value !== "object") return value;
  if (isList(value)) return value.map((each) => canonical(each, hash, field));
  const names = Object.keys(value).filter((name) => field !== "" || !NO_FILTER.has(name));
  return Object.fromEntries(names.sort().map((name) => [name, canonical(value[name] ?? null, hash, name)]));
}

// In another spelling it is masked: a hash of it would be found by nobody.
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
