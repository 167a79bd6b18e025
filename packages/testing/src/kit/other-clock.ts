/**
 * Run something while `Math.random`, `Date.now` and `performance.now` give other values than they would: what depends on
 * them shows without waiting and without luck.
 *
 * @param salt Another salt, other values.
 */
export async function underAnotherClock<T>(salt: number, body: () => Promise<T>): Promise<T> {
  const before = { random: Math.random, now: Date.now, timer: performance.now.bind(performance) };
  let state = (salt * 2_654_435_761) >>> 0;
  Math.random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  Date.now = () => before.now() + salt * 86_400_123;
  performance.now = () => before.timer() + salt * 7_919.5;
  try {
    return await body();
  } finally {
    Math.random = before.random;
    Date.now = before.now;
    performance.now = before.timer;
  }
}
