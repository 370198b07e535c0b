import { CLIENT_SETTINGS, ConfigError, readValues, unknownSettings } from "./config.ts";
import { contextsFileOf, findContext, type NamedContext } from "./contexts.ts";

const DEFAULT_URL = "http://127.0.0.1:7443";

/** What a command needs in order to talk to a running server. */
export interface ClientConfig {
  readonly url: URL;
  /** The bearer token. Without it and without a file the command signs one itself, if it can. */
  readonly token: string | undefined;
  /** The file that has the token; `-`: standard input. */
  readonly tokenFile: string | undefined;
  /** The context that said so; undefined: none. */
  readonly context: NamedContext | undefined;
}

type Env = Readonly<Record<string, string | undefined>>;
type ClientOverrides = { readonly [Name in "url" | "tokenFile" | "context"]?: string | undefined };

/**
 * Reads the settings of a client: what the command line gives, then the environment, then the
 * context, then defaults. A token meant for one server is not sent to another: where the command
 * line names a context, the environment does not count; where a URL is named, no context does.
 * @throws ConfigError
 */
export function loadClientConfig(env: Env = process.env, overrides: ClientOverrides = {}): ClientConfig {
  const mistakes: string[] = [];
  const values = readValues(CLIENT_SETTINGS, { env, overrides, mistakes });
  const isAsked = overrides.context !== undefined;
  const context = values.url !== undefined && !isAsked ? undefined : findContext(values, mistakes);
  mistakes.push(...unknownSettings(env));
  if (mistakes.length > 0) throw new ConfigError(mistakes);
  const { tokenFile: given } = overrides;
  if (isAsked && context)
    return { url: new URL(context.url), token: undefined, tokenFile: given ?? context.tokenFile, context };
  const url = new URL(values.url ?? context?.url ?? DEFAULT_URL);
  if (given === undefined && values.token !== undefined)
    return { url, token: values.token, tokenFile: undefined, context };
  return { url, token: undefined, tokenFile: values.tokenFile ?? context?.tokenFile, context };
}

/** Where contexts are kept. */
export function contextsFile(env: Env = process.env): string {
  return contextsFileOf(readValues(CLIENT_SETTINGS, { env, overrides: {}, mistakes: [] }));
}
