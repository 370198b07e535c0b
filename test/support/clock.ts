/**
 * Sets the time of day of this process back (or ahead, if negative) until it is disposed. Timers,
 * and the clock that only goes forward, do not notice.
 */
export function stepClockBack(ms: number): Disposable {
  const real = Date.now;
  Date.now = () => real() - ms;
  return {
    [Symbol.dispose]: () => {
      Date.now = real;
    },
  };
}
