import { expect, test } from "vitest";
import { fitHelp } from "./fit-help.ts";

const LONG = "one two three four five six seven";

test("a paragraph that is too wide is filled anew, and one that fits stays as it is", () => {
  expect(fitHelp(`${LONG}\neight nine\n\nshort\nlines`, 20)).toBe(
    "one two three four\nfive six seven eight\nnine\n\nshort\nlines",
  );
});

test("what stands in a column stays in it, and a long name has a line of its own", () => {
  expect(fitHelp(`  name  ${LONG}`, 24)).toBe("  name  one two three\n        four five six\n        seven");
  expect(fitHelp(`  a-very-long-name  ${LONG}`, 24)).toBe(
    "  a-very-long-name\n      one two three four\n      five six seven",
  );
});

test("an example that is too long is still one command to a shell", () => {
  expect(fitHelp("  tandem carriers create nordlys-tele --country DK", 30)).toBe(
    "  tandem carriers create \\\n    nordlys-tele --country \\\n    DK",
  );
});
