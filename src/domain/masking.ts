/** A text with the last three digits of everything in it that could be a telephone number as `***`. Dates `YYYY-MM-DD` stay. */
export function maskNumbers(text: string): string {
  return text.replace(DATE_OR_NUMBER, (match, date: string | undefined) =>
    date === undefined ? maskLastDigits(match) : match,
  );
}

/** A number with its last three digits as `***`, whatever stands between them; one of three digits or fewer is masked whole. */
export function maskLastDigits(number: string): string {
  let masked = "";
  let left = 3;
  for (let at = number.length - 1; at >= 0; at--) {
    const character = number.charAt(at);
    const hide = left > 0 && character >= "0" && character <= "9";
    if (hide) left--;
    masked = (hide ? "*" : character) + masked;
  }
  return masked;
}

/** Seven digits or more, with no more than two separators between them: fewer are a code or a count, not somebody's number. */
const DATE_OR_NUMBER = /(?<!\d)(\d{4}-\d{2}-\d{2})(?![\d-])|\d(?:[ ().\-/]{0,2}\d){6,}/g;
