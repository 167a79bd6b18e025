/**
 * Quantile of the standard normal distribution (Wichura 1988, algorithm AS 241, PPND7; relative error about 1e-7, which
 * is what float32 holds). Built from operations that IEEE 754 fixes to the bit, logarithm included, so that every
 * JavaScript engine gives the same numbers: `Math.log` and `Math.cos`, which a Box-Muller transform needs, may differ
 * between engines.
 *
 * @param p Probability strictly between 0 and 1.
 */
export function normalQuantile(p: number): number {
  const q = p - 0.5;
  if (q <= 0.425 && q >= -0.425) {
    const r = 0.180625 - q * q;
    return (
      (q * (((59.10937472 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179)) /
      (((67.1875636 * r + 78.757757664) * r + 17.895169469) * r + 1)
    );
  }
  return q < 0 ? -upperTail(p) : upperTail(1 - p);
}

/** Quantile of 1 - p for small p. */
function upperTail(p: number): number {
  let r = Math.sqrt(-naturalLogarithm(p));
  if (r <= 5) {
    r -= 1.6;
    return (
      (((0.17023821103 * r + 1.3067284816) * r + 2.75681539) * r + 1.4234372777) /
      ((0.12021132975 * r + 0.7370016425) * r + 1)
    );
  }
  r -= 5;
  return (
    (((0.017337203997 * r + 0.42868294337) * r + 3.081226386) * r + 6.657905115) /
    ((0.012258202635 * r + 0.24197894225) * r + 1)
  );
}

const view = new DataView(new ArrayBuffer(8));
const SMALLEST_NORMAL = 2 ** -1022;

/**
 * Natural logarithm, to 2 units in the last place, from the exponent and the series of atanh: bit-identical everywhere.
 *
 * @param x Non-negative; 0 gives -Infinity.
 */
export function naturalLogarithm(x: number): number {
  if (!(x > 0)) return x === 0 ? -Infinity : NaN;
  if (x === Infinity) return Infinity;
  // Subnormal numbers have no leading bit: bring them into the normal range first.
  if (x < SMALLEST_NORMAL) return naturalLogarithm(x * 2 ** 54) - 54 * Math.LN2;
  view.setFloat64(0, x);
  const high = view.getUint32(0);
  let exponent = (high >>> 20) - 1023;
  view.setUint32(0, (high & 0xfffff) | 0x3ff00000);
  let mantissa = view.getFloat64(0);
  if (mantissa > Math.SQRT2) {
    mantissa /= 2;
    exponent += 1;
  }
  const s = (mantissa - 1) / (mantissa + 1);
  const z = s * s;
  const series =
    1 +
    z *
      (1 / 3 +
        z *
          (1 / 5 +
            z *
              (1 / 7 +
                z * (1 / 9 + z * (1 / 11 + z * (1 / 13 + z * (1 / 15 + z * (1 / 17 + z * (1 / 19 + z / 21)))))))));
  return exponent * Math.LN2 + 2 * s * series;
}
