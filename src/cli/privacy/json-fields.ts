/** The fields of a JSON object as people read them: `case reference DSR-17; role any`. A hash, which says nothing to them, is only named. */
export function formatJsonFields(json: string): string {
  const fields = Object.entries(JSON.parse(json) as Record<string, unknown>);
  return fields.map(([name, value]) => `${name.replaceAll("_", " ")} ${formatValue(value)}`).join("; ");
}

function formatValue(value: unknown): string {
  if (typeof value !== "string") return JSON.stringify(value);
  if (/^[0-9a-f]{64}$/.test(value)) return "(a hash)";
  return value.replace(/^SUBJECT_ROLE_(\w+)$/, (_, role: string) => role.toLowerCase().replaceAll("_", "-"));
}
