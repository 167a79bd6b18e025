import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Graph } from '../graph.js';
import { shapeText } from '../shape.js';
import { einsum, einsumTerms } from './einsum.js';
import { expectRuntimeTypes } from './testing/runtime-types.js';

describe('equations', () => {
  test.each([
    [
      'ij,jk->ik',
      [2, 2],
      [
        ['i', 'j'],
        ['j', 'k'],
      ],
      ['i', 'k'],
    ],
    [
      ' b i j , b j k ',
      [3, 3],
      [
        ['b', 'i', 'j'],
        ['b', 'j', 'k'],
      ],
      ['i', 'k'],
    ],
    ['ii', [2], [['i', 'i']], []],
    ['ba', [2], [['b', 'a']], ['a', 'b']],
    ['...ij->...ji', [4], [['.2', '.1', 'i', 'j']], ['.2', '.1', 'j', 'i']],
    [
      'i...,...',
      [3, 2],
      [
        ['i', '.2', '.1'],
        ['.2', '.1'],
      ],
      ['.2', '.1', 'i'],
    ],
    ['...', [0], [[]], []],
    ['->', [0], [[]], []],
  ] as const)('%s', (equation, ranks, inputs, output) => {
    expect(einsumTerms(equation, ranks)).toEqual({ inputs, output });
  });

  test.each([
    ['ij->ik', [2], /has "k", which no input has/],
    ['ij->ii', [2], /has "i" more than once/],
    ['i1', [2], /holds "1"/],
    ['i..j', [2], /holds "\."/],
    ['......', [2], /more than one ellipsis/],
    ['ij', [3], /does not fit an input of rank 3/],
    ['...ij', [1], /does not fit an input of rank 1/],
    ['i,j', [1], /2 terms for 1 inputs/],
    ['i->j->k', [1], /more than one "->"/],
    ['...i->i', [2], /lacks the ellipsis/],
    ['...,...', [1, 2], /stands for 1 axes in one input and 2 in another/],
  ] as const)('%s is refused', (equation, ranks, message) => {
    expect(() => einsumTerms(equation, ranks)).toThrow(message);
  });
});

test('inferred shapes are those of the runtime, and follow from symbolic ones', async () => {
  const labels = fc.array(fc.constantFrom('a', 'b', 'c', 'D'), { maxLength: 4 });
  const cases = fc.record({
    terms: fc.array(labels, { minLength: 1, maxLength: 3 }),
    picks: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
    implicit: fc.boolean(),
    ellipsis: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ terms, picks, implicit, ellipsis }) => {
      const used = [...new Set(terms.flat())];
      const dots = ellipsis ? '...' : '';
      const output = used.filter((_, index) => picks[index]).reverse();
      const equation =
        terms.map((term) => dots + term.join('')).join(',') + (implicit ? '' : `->${dots}${output.join('')}`);
      await expectRuntimeTypes(
        (graph, size) => {
          const inputs = terms.map((term, index) =>
            graph.input(`x${index}`, 'float32', [
              ...(ellipsis ? [size('outer'), index === 0 ? 3 : 1] : []),
              ...term.map(size),
            ]),
          );
          return [einsum(equation, ...inputs)];
        },
        { outer: 2, a: 2, b: 3, c: 4, D: 5 },
      );
    }),
    { numRuns: 60 },
  );
});

test('errors show shapes and expression', () => {
  const graph = new Graph();
  const a = graph.input('a', 'float32', ['n', 3]);
  expect(() => einsum('ij,jk->ik', a, graph.input('b', 'float32', [4, 5]))).toThrow(
    /3.*4.*in Einsum\(a\[n, 3\], b\[4, 5\]\)/,
  );
  expect(() => einsum('ijk->i', a)).toThrow(/does not fit an input of rank 2, in Einsum\(a\[n, 3\]\)/);
  expect(shapeText(einsum('ij->ji', a).shape)).toBe('[3, n]');
});
