import { describe, test } from '@jest/globals';
import { einsum } from '@updraft/graph';
import { expectDerivatives } from './testing/central-differences.js';

const CASES: readonly [string, readonly (readonly number[])[]][] = [
  [
    'ij,jk->ik',
    [
      [2, 3],
      [3, 2],
    ],
  ],
  [
    'ij,jk',
    [
      [2, 3],
      [3, 2],
    ],
  ],
  [
    'bhqd,bhkd->bhqk',
    [
      [2, 1, 2, 3],
      [2, 1, 3, 3],
    ],
  ],
  [
    '...ij,...jk->...ik',
    [
      [2, 2, 3],
      [2, 3, 2],
    ],
  ],
  [
    '...ij,...jk->ik...',
    [
      [1, 2, 3],
      [2, 3, 2],
    ],
  ],
  ['i,j->ij', [[3], [2]]],
  ['i,i->', [[3], [3]]],
  ['ij->', [[2, 3]]],
  ['ij->j', [[2, 3]]],
  ['ij,j->i', [[2, 3], [3]]],
  ['ij,k->j', [[2, 3], [2]]],
  ['ii->i', [[3, 3]]],
  ['ii->', [[3, 3]]],
  ['iij,j->i', [[2, 2, 3], [3]]],
  ['iji->j', [[2, 3, 2]]],
  [
    'ij,jk,kl->il',
    [
      [2, 2],
      [2, 3],
      [3, 2],
    ],
  ],
  ['ij->ji', [[2, 3]]],
  ['...->...', [[2, 3]]],
];

describe('gradients of Einsum are central differences', () => {
  test.each(CASES)('%s', async (equation, shapes) => {
    await expectDerivatives(
      shapes.map((shape) => ({ shape })),
      (...operands) => [einsum(equation, ...operands)],
    );
  });

  test('an operand that occurs twice', async () => {
    await expectDerivatives([{ shape: [2, 3] }], (x) => [einsum('ij,kj->ik', x, x)]);
  });
});
