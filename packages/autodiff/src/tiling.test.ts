import { expect, test } from '@jest/globals';
import { Graph, split, tensor, type Tensor } from '@updraft/graph';
import { gradients } from './gradients.js';
import { evaluate } from './rules/testing/central-differences.js';
import { tabulate } from './rules/testing/values.js';

/** The operators that gradients of these parts of x [2, 6], weighted by 1, 2, 3, ..., consist of. */
function operators(build: (x: Tensor) => readonly Tensor[]): string[] {
  const graph = new Graph();
  const x = graph.input('x', 'float32', [2, 6]);
  const loss = build(x)
    .map((part, index) => part.mul(index + 1).sum())
    .reduce((left, right) => left.add(right));
  const [gradient] = gradients(loss, [x]) as [Tensor];
  const found = new Set<string>();
  const visit = (value: Tensor): void => {
    if (value.producer === undefined) return;
    found.add(value.producer.key);
    value.producer.inputs.forEach((input) => input !== undefined && visit(input));
  };
  visit(gradient);
  return [...found];
}

const thirds = (x: Tensor): Tensor[] => [x.slice([2], [4], [1]), x.slice([0], [2], [1]), x.slice([-2], [100], [-1])];

test('slices that share out an axis give one concatenation', () => {
  expect(operators(thirds)).toContain('Concat');
  for (const operator of ['Pad', 'Add']) expect(operators(thirds)).not.toContain(operator);
});

test('so do the outputs of a split, unused ones as zeros', () => {
  const used = operators((x) => [split(x, [1, 2, 3], 1)[1] as Tensor]);
  expect(used).toContain('Concat');
  for (const operator of ['Pad', 'Add']) expect(used).not.toContain(operator);
});

test.each([
  ['shared out', thirds, [2, 2, 1, 1, 3, 3]],
  ['with a gap', (x: Tensor) => [x.slice([0], [2], [1]), x.slice([4], [6], [1])], [1, 1, 0, 0, 2, 2]],
  ['overlapping', (x: Tensor) => [x.slice([0], [4], [1]), x.slice([2], [6], [1])], [1, 1, 3, 3, 2, 2]],
  ['and the whole', (x: Tensor) => [...thirds(x), x], [6, 6, 5, 5, 7, 7]],
  ['twice', (x: Tensor) => [...thirds(x), ...thirds(x)], [7, 7, 5, 5, 9, 9]],
])('gradients of slices %s add up', async (_, build, expected) => {
  const x = tensor([...tabulate([12], (__, at) => at).data], 'float32', [2, 6]);
  const [gradient] = await evaluate([x], (value) =>
    gradients(
      build(value as Tensor)
        .map((part, index) => part.mul(index + 1).sum())
        .reduce((left, right) => left.add(right)),
      [value as Tensor],
    ),
  );
  expect([...(gradient?.data as Float32Array)]).toEqual([...expected, ...expected]);
});
