import { ConfigError, type ConfigOverrides, loadConfig } from "./config.ts";

/**
 * Reads what can be read: the settings without those that are wrong, what is wrong, and which
 * variables were left out. No config: what is left makes none.
 */
export function loadSoundConfig(overrides: ConfigOverrides = {}, env = process.env) {
  const first = tryLoad(env, overrides);
  const left = new Set<string>();
  let [{ config, mistakes }, sound] = [first, env];
  // A mistake names its variables first. One that is left out may make another look wrong.
  for (let round = 0; !config && round < 5; round++) {
    for (const mistake of mistakes)
      for (const [name] of mistake.split(": ", 1)[0]?.matchAll(/TANDEM_\w+/g) ?? []) left.add(name);
    sound = Object.fromEntries(Object.entries(env).filter(([name]) => !left.has(name)));
    ({ config, mistakes } = tryLoad(sound, overrides));
  }
  return { config, mistakes: first.mistakes, left };
}

function tryLoad(env: NodeJS.ProcessEnv, overrides: ConfigOverrides) {
  try {
    return { config: loadConfig(env, overrides), mistakes: [] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { config: undefined, mistakes: error.mistakes };
  }
}
