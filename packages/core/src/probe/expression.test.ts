import { createBackend } from '@updraft/backend';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Graph, tensor, toNumbers, type NestedNumbers } from '@updraft/graph';
import fc from 'fast-check';
import { buildExpression } from './build-expression.js';
import { expressionNames, parseExpression } from './expression.js';

let backend: Awaited<ReturnType<typeof createBackend>>;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

const build = (formula: string, values: Readonly<Record<string, NestedNumbers>>) => {
  const graph = new Graph('formula');
  const inputs = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, graph.input(name, 'float32', tensor(value).dims)]),
  );
  const result = buildExpression(parseExpression(formula), {
    graph,
    names: Object.keys(inputs),
    lookup: (name) => inputs[name],
  });
  graph.output(result.identity(), 'result');
  return graph;
};

async function evaluate(formula: string, values: Readonly<Record<string, NestedNumbers>> = {}): Promise<number[]> {
  const program = await backend.compile(build(formula, values));
  const needed = new Set(program.inputs.map(({ name }) => name));
  const feeds = Object.entries(values).filter(([name]) => needed.has(name));
  const { result } = await program.run(Object.fromEntries(feeds.map(([name, value]) => [name, tensor(value)])));
  await program.dispose();
  return result === undefined ? [] : toNumbers(result);
}

describe('formulas', () => {
  test('bind as in JavaScript, with ^ above signs', async () => {
    const operators = fc.constantFrom('+', '-', '*', '/', '**');
    const leaf = fc.integer({ min: 1, max: 4 }).map(String);
    const formula = fc
      .tuple(leaf, fc.array(fc.tuple(operators, leaf), { minLength: 1, maxLength: 6 }))
      .map(([first, rest]) => [first, ...rest.flat()].join(' '));
    await fc.assert(
      fc.asyncProperty(formula, async (text) => {
        // The formulas are made here, of numbers and operators.
        const expected = Math.fround(Number(new Function(`return ${text}`)()));
        const [found] = await evaluate(text);
        if (Number.isFinite(expected)) expect(found).toBe(expected);
      }),
      { numRuns: 60 },
    );
    expect(await evaluate('-2^2 + 2^-1 - -3')).toEqual([-0.5]);
    expect(await evaluate('2^3^2')).toEqual([512]);
  });

  test.each<[string, Readonly<Record<string, NestedNumbers>>, number[]]>([
    ['w[0]^2 + 3*w[1]', { w: [1, 2] }, [7]],
    ['0.5 * sum((x @ W + b - y)^2)', { x: [[1, 2]], W: [[1], [0.5]], b: [1], y: [[0]] }, [4.5]],
    [
      'A.T',
      {
        A: [
          [1, 2],
          [3, 4],
        ],
      },
      [1, 3, 2, 4],
    ],
    ["'dense.weight' * dense.bias + 'a b'", { 'dense.weight': [2], 'dense.bias': [3], 'a b': [1] }, [7]],
    [
      'x[:, 1:3]',
      {
        x: [
          [1, 2, 3],
          [4, 5, 6],
        ],
      },
      [2, 3, 5, 6],
    ],
    [
      'x[-1, -2]',
      {
        x: [
          [1, 2, 3],
          [4, 5, 6],
        ],
      },
      [5],
    ],
    [
      'sum(x, 0)',
      {
        x: [
          [1, 2],
          [3, 5],
        ],
      },
      [4, 7],
    ],
    [
      'mean(x, [0, 1]) + max(x) - min(x)',
      {
        x: [
          [1, 2],
          [3, 6],
        ],
      },
      [8],
    ],
    ['norm([3, 4]) + norm(x, 1)', { x: [[3, 4]] }, [10]],
    ['where(x > 1, x, -x)', { x: [0.5, 2] }, [-0.5, 2]],
    ['clip(x, -1, 1) + (x <= 0) * 0', { x: [-3, 0.25] }, [-1, 0.25]],
    ['softmax(x)', { x: [0, Math.log(3)] }, [0.25, 0.75]],
    [
      'crossEntropy(s, y)',
      {
        s: [
          [0, Math.log(3)],
          [0, 0],
        ],
        y: [1, 0],
      },
      [(Math.log(4 / 3) + Math.log(2)) / 2],
    ],
    ['gather(x, [2, 0])', { x: [5, 6, 7] }, [7, 5]],
    ['[a, 2 * a, 1]', { a: 3 }, [3, 6, 1]],
    ['dot(concat([a, b]), [1, 2, 3])', { a: [1], b: [2, 3] }, [14]],
    ['reshape(x, [2, -1]) @ [1, 1]', { x: [1, 2, 3, 4] }, [3, 7]],
    ['sum(sign(x)) + floor(2.7) + round(2.4)', { x: [-2, 0, 5] }, [4]],
  ])('%s', async (formula, values, expected) => {
    const found = await evaluate(formula, values);
    expect(found).toHaveLength(expected.length);
    expected.forEach((value, index) => {
      expect(found[index]).toBeCloseTo(value, 5);
    });
  });

  test('say which names they use', () => {
    expect(expressionNames(parseExpression('sum(x * θ) + max(x, 1) - b.c[0]'))).toEqual(['x', 'θ', 'b.c']);
  });

  test.each([
    ['1 +', /its end at position 4, where a number, a name or "\("/],
    ['(1', /its end at position 3, where "\)" is expected/],
    ['1 2', /"2" at position 2, where an operator or the end/],
    ['a $ b', /has "\$" at position 2/],
    ['x[1.5]', /whole number is expected/],
    ['x[]', /index is expected/],
    ['('.repeat(5000), /less nesting/],
    ['-'.repeat(5000), /less nesting/],
  ])('%.20s is refused with the position', (formula, message) => {
    expect(() => parseExpression(formula)).toThrow(message);
  });

  test.each([
    ['y + 1', /uses "y", which is neither a parameter nor an input\. There are: x/],
    ['sinn(x)', /no function "sinn" in formulas\. The nearest is "si/],
    ['sum()', /sum\(\) takes 1 to 2 arguments, not 0/],
    ['x[5]', /index 5 is outside an axis of size 3/],
    ['x[0, 0]', /2 indices for a tensor with 1 axes/],
    ['sum(x, x)', /sum\(\) takes a whole number written in the formula/],
    ['x @ [1, 2]', /MatMul/],
    ['constructor(x)', /no function "constructor"/],
  ])('%s is refused', (formula, message) => {
    expect(() => build(formula, { x: [1, 2, 3] })).toThrow(message);
  });
});
