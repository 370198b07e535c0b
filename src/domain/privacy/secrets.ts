/** Leaves out what opens a door: user and password of a URL, tokens. */
export function maskSecrets(text: string): string {
  return text
    .replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s/@]*@/gi, "$1[secret]@")
    .replace(/\beyJ[\w-]{5,}\.[\w-]+(\.[\w-]*)?/g, "[token]");
}
