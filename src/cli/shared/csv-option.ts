import { Option } from "commander";

/** `--csv` of commands that print rows. */
export function csvOption(): Option {
  return new Option("--csv", "print CSV (RFC 4180) with a header").conflicts("json");
}
