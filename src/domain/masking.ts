/** A text with the last three digits of everything in it that could be a telephone number as `***`. Dates `YYYY-MM-DD` stay. */
export function maskNumbers(text: string): string {
  return text.replace(DATE_OR_NUMBER, (match, date: string | undefined) =>
    date === undefined ? maskLastDigits(match) : match,
  );
}

/**
 * A text with the last three digits of every number that is written with its `+` as `***`. For texts full of ids and counts that must stay, such as
 * those of logs and errors.
 */
export function maskInternational(text: string): string {
  return text.replace(INTERNATIONAL, maskLastDigits);
}

/** A number with its last three digits as `***`, whatever stands between them; one of three digits or fewer is masked whole. */
export function maskLastDigits(number: string): string {
  let start = number.length;
  for (let left = 3; left > 0 && start > 0; start--) {
    if (/[0-9]/.test(number.charAt(start - 1))) left--;
  }
  return number.slice(0, start) + number.slice(start).replaceAll(/[0-9]/g, "*");
}

const INTERNATIONAL = /\+[0-9](?:[ ().\-/]{0,2}[0-9]){6,14}/g;

/** Seven digits or more, with no more than two separators between them: fewer are a code or a count, not somebody's number. */
const DATE_OR_NUMBER = /(?<!\d)(\d{4}-\d{2}-\d{2})(?![\d-])|\d(?:[ ().\-/]{0,2}\d){6,}/g;
