import { isIPv4, isIPv6 } from "node:net";

/** A SIP or SIPS URI (RFC 3261, 19.1) as written, with the scheme folded. */
export interface SipUri {
  readonly scheme: "sip" | "sips";
  readonly user?: string;
  /** May be empty. */
  readonly password?: string;
  /** Name, IPv4, or IPv6 in brackets. */
  readonly host: string;
  readonly port?: number;
  /** By lower-case name; null: no value. */
  readonly parameters: ReadonlyMap<string, string | null>;
  readonly headers: ReadonlyMap<string, string>;
}

const MAX_LENGTH = 2_048;

/** RFC 3261, section 25.1; undefined: not a SIP URI. */
export function parseSipUri(text: string): SipUri | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  const match = /^(sips?):(?:([^@]*)@)?(\[[^\]]*\]|[^:;?@]*)(?::([0-9]{1,5}))?((?:;[^;?@]*)*)(?:\?([^@]*))?$/i.exec(
    text,
  );
  if (!match) return undefined;
  const [, scheme = "", userinfo, host = "", port, parameterText = "", headerText] = match;
  const user = userinfo === undefined ? {} : parseUserinfo(userinfo);
  const parameters = parseParameters(parameterText);
  const headers = headerText === undefined ? new Map<string, string>() : parseHeaders(headerText);
  if (!user || !parameters || !headers || !isHost(host) || Number(port ?? 1) > 65_535) return undefined;
  return {
    scheme: scheme.toLowerCase() as SipUri["scheme"],
    ...user,
    host,
    ...(port === undefined ? {} : { port: Number(port) }),
    parameters,
    headers,
  };
}

/** RFC 3261, section 19.1.6. */
export function sipUriOfNumber(e164: string, domain: string): string {
  return `sip:${e164}@${domain};user=phone`;
}

/**
 * What is wrong with an assignee's SIP URI. The user must be the number, since names are personal
 * data; headers and a method are forbidden (RFC 3261, table 1).
 */
export function findSipUriProblem(text: string, e164: string): string | undefined {
  const uri = parseSipUri(text);
  if (!uri) return "is not a SIP or SIPS URI (RFC 3261, 19.1)";
  if (uri.user?.startsWith(`${e164};`))
    return "its user part has parameters behind the number, such as an extension or a trunk group: give the number alone";
  if (uri.user !== e164) return "its user part is not the number";
  if (uri.password !== undefined) return "has a password, which is not for a directory";
  if (uri.headers.size > 0 || uri.parameters.has("method"))
    return "has headers or a method, which a Request-URI may not have";
  return undefined;
}

/** A `hostname` of RFC 3261, 25.1: the last label does not begin with a digit. */
export function isDnsName(text: string): boolean {
  return text.length <= 253 && HOSTNAME.test(text);
}

const LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
const HOSTNAME = new RegExp(`^(?:${LABEL}\\.)*(?=[A-Za-z])${LABEL}$`);

const UNRESERVED = "A-Za-z0-9\\-_.!~*'()";
const ESCAPED = "%[0-9A-Fa-f]{2}";
const USER = new RegExp(`^(?:[${UNRESERVED}&=+$,;?/]|${ESCAPED})+$`);
const PASSWORD = new RegExp(`^(?:[${UNRESERVED}&=+$,]|${ESCAPED})*$`);
const PARAMETER = new RegExp(`^(?:[${UNRESERVED}[\\]/:&+$]|${ESCAPED})+$`);
const HEADER_NAME = new RegExp(`^(?:[${UNRESERVED}[\\]/?:+$]|${ESCAPED})+$`);
const HEADER_VALUE = new RegExp(`^(?:[${UNRESERVED}[\\]/?:+$]|${ESCAPED})*$`);

function parseUserinfo(userinfo: string): { user: string; password?: string } | undefined {
  const colon = userinfo.indexOf(":");
  const user = colon < 0 ? userinfo : userinfo.slice(0, colon);
  if (!USER.test(user)) return undefined;
  if (colon < 0) return { user };
  const password = userinfo.slice(colon + 1);
  return PASSWORD.test(password) ? { user, password } : undefined;
}

// Names are unique (RFC 3261, 19.1.1).
function parseParameters(text: string): Map<string, string | null> | undefined {
  const parameters = new Map<string, string | null>();
  for (const part of text === "" ? [] : text.slice(1).split(";")) {
    const equals = part.indexOf("=");
    const name = (equals < 0 ? part : part.slice(0, equals)).toLowerCase();
    const value = equals < 0 ? null : part.slice(equals + 1);
    if (!PARAMETER.test(name) || parameters.has(name) || (value !== null && !PARAMETER.test(value))) return undefined;
    parameters.set(name, value);
  }
  return parameters;
}

function parseHeaders(text: string): Map<string, string> | undefined {
  const headers = new Map<string, string>();
  for (const part of text.split("&")) {
    const equals = part.indexOf("=");
    const name = part.slice(0, equals);
    const value = part.slice(equals + 1);
    if (equals < 0 || !HEADER_NAME.test(name) || !HEADER_VALUE.test(value) || headers.has(name)) return undefined;
    headers.set(name, value);
  }
  return headers;
}

function isHost(host: string): boolean {
  if (host.startsWith("[")) return !host.includes("%") && isIPv6(host.slice(1, -1));
  return isIPv4(host) || isDnsName(host.endsWith(".") ? host.slice(0, -1) : host);
}
