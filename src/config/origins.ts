import type { z } from "zod";

const MAX_ORIGINS = 100;

/**
 * Reads `https://a.example, https://b.example`: origins as browsers send them, which have a scheme,
 * a host in lower case and a port that is not the scheme's own, and nothing else.
 */
export function parseOrigins(value: string, context: z.RefinementCtx): ReadonlySet<string> {
  const origins = new Set(value.split(/[\s,]+/).filter(Boolean));
  for (const origin of origins) {
    if (!isOrigin(origin))
      context.addIssue({
        code: "custom",
        message: `expected origins such as https://console.example.com, not "${origin}"`,
      });
  }
  if (origins.size > MAX_ORIGINS)
    context.addIssue({ code: "custom", message: `expected at most ${MAX_ORIGINS} origins, not ${origins.size}` });
  return origins;
}

function isOrigin(text: string): boolean {
  return /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text;
}
