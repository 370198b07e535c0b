import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";

/** An identity provider of a test's own: a key, and the file with its public part. */
export interface TestIssuer extends AsyncDisposable {
  readonly name: string;
  /** The settings of an app that believes it. */
  readonly settings: {
    readonly jwksFile: string;
    readonly jwtIssuer: string;
    readonly jwtAudience: string;
    readonly issueTokens: undefined;
  };
  /**
   * A token with these claims, for ten minutes and for the app's audience if they say nothing else.
   */
  sign(claims: JWTPayload, header?: { readonly typ?: string; readonly kid?: string }): Promise<string>;
}

export async function createIssuer(name = "https://issuer.example"): Promise<TestIssuer> {
  const folder = await mkdtemp(join(tmpdir(), "tandem-issuer-"));
  const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
  const jwksFile = join(folder, "jwks.json");
  await writeFile(jwksFile, JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: "1", alg: "ES256" }] }));
  return {
    name,
    settings: { jwksFile, jwtIssuer: name, jwtAudience: "tandem", issueTokens: undefined },
    sign: (claims, header = {}) => {
      const nowS = Math.floor(Date.now() / 1000);
      return new SignJWT({ iss: name, aud: "tandem", iat: nowS, exp: nowS + 600, ...claims })
        .setProtectedHeader({ alg: "ES256", kid: "1", ...header })
        .sign(privateKey);
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}
