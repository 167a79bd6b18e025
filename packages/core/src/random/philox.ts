/**
 * Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): a counter-based generator. Of the
 * maintained npm generators none is counter-based (pure-rand and its like step through a state), and streams that can be
 * split by name and entered at any step need one; this one is checked against the known-answer vectors of Random123.
 */
const MULTIPLIER_0_HIGH = 0xd251;
const MULTIPLIER_0_LOW = 0x1f53;
const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1_HIGH = 0xcd9e;
const MULTIPLIER_1_LOW = 0x8d57;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;

/**
 * Consecutive blocks of four 32-bit words, for the 128-bit counters (c0 + 2³²·c1, c2, c3) onwards, written to
 * `out[offset]` to `out[offset + 4 * blocks - 1]`. All arithmetic is on 32-bit integers: products of 32 bits are put
 * together from products of 16, none of which overflows 32 bits unsigned, so that engines keep them in registers.
 */
export function philoxBlocks(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
  out: Uint32Array,
  offset = 0,
  blocks = 1,
): void {
  let first = counter[0] | 0;
  let second = counter[1] | 0;
  const third = counter[2] | 0;
  const fourth = counter[3] | 0;
  const key0 = key[0] | 0;
  const key1 = key[1] | 0;
  let at = offset;
  for (let block = 0; block < blocks; block++) {
    let x0 = first;
    let x1 = second;
    let x2 = third;
    let x3 = fourth;
    let k0 = key0;
    let k1 = key1;
    for (let round = 0; round < ROUNDS; round++) {
      // High words of MULTIPLIER_0 · x0 and MULTIPLIER_1 · x2.
      let low = x0 & 0xffff;
      let high = x0 >>> 16;
      let middle = (Math.imul(low, MULTIPLIER_0_HIGH) + (Math.imul(low, MULTIPLIER_0_LOW) >>> 16)) | 0;
      let carry = (Math.imul(high, MULTIPLIER_0_LOW) + (middle & 0xffff)) | 0;
      const high0 = (Math.imul(high, MULTIPLIER_0_HIGH) + (middle >>> 16) + (carry >>> 16)) | 0;
      const low0 = Math.imul(x0, MULTIPLIER_0);
      low = x2 & 0xffff;
      high = x2 >>> 16;
      middle = (Math.imul(low, MULTIPLIER_1_HIGH) + (Math.imul(low, MULTIPLIER_1_LOW) >>> 16)) | 0;
      carry = (Math.imul(high, MULTIPLIER_1_LOW) + (middle & 0xffff)) | 0;
      const high1 = (Math.imul(high, MULTIPLIER_1_HIGH) + (middle >>> 16) + (carry >>> 16)) | 0;
      const low1 = Math.imul(x2, MULTIPLIER_1);
      x0 = high1 ^ x1 ^ k0;
      x1 = low1;
      x2 = high0 ^ x3 ^ k1;
      x3 = low0;
      k0 = (k0 + WEYL_0) | 0;
      k1 = (k1 + WEYL_1) | 0;
    }
    out[at] = x0;
    out[at + 1] = x1;
    out[at + 2] = x2;
    out[at + 3] = x3;
    at += 4;
    first = (first + 1) | 0;
    if (first === 0) second = (second + 1) | 0;
  }
}
