/** Whether a text that a person wrote is there, is not too long, and has no control characters. */
export function isText(text: string, maxLength: number): boolean {
  const length = [...text].length;
  return length >= 1 && length <= maxLength && /^[^\p{Cc}\p{Cs}]*$/u.test(text);
}
