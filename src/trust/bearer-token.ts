import { unauthenticated } from "../domain/errors.ts";

/**
 * The token of an authorization header; undefined without a header.
 * @throws TandemError UNAUTHENTICATED when the header is not `Bearer` and a token.
 */
export function readBearerToken(header: string | null): string | undefined {
  if (header === null) return undefined;
  const token = /^bearer +([^ ]+) *$/i.exec(header)?.[1];
  if (!token) throw unauthenticated("the authorization header is not `Bearer` and a token");
  return token;
}
