import { expect, test } from '@jest/globals';
import { einsum, resize, type ResizeOptions } from '@updraft/graph';
import { expectDerivatives } from './testing/central-differences.js';

/** Numbers in [0, 1) that are the same in every run (Park and Miller 1988). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}
const CASES = 200;

test(`Einsum: ${CASES} random equations`, async () => {
  const random = generator(11);
  const below = (count: number): number => Math.floor(random() * count);
  for (let index = 0; index < CASES; index++) {
    const labels = [...'abcd'].slice(0, 2 + below(3));
    const sizes = new Map(labels.map((label) => [label, 1 + below(3)]));
    const terms = Array.from({ length: 1 + below(3) }, () =>
      Array.from({ length: 1 + below(3) }, () => labels[below(labels.length)] as string),
    );
    const used = [...new Set(terms.flat())];
    const output = used.filter(() => random() < 0.5).sort(() => random() - 0.5);
    const equation = `${terms.map((term) => term.join('')).join()}->${output.join('')}`;
    const specs = terms.map((term) => ({ shape: term.map((label) => sizes.get(label) as number) }));
    try {
      await expectDerivatives(specs, (...operands) => [einsum(equation, ...operands)], {
        orders: index % 10 === 0 ? [1, 2] : [1],
      });
    } catch (error) {
      throw new Error(`${equation}, ${JSON.stringify(specs)}: ${String(error)}`);
    }
  }
  expect.hasAssertions();
}, 120_000);

test(`Resize: ${CASES} random settings`, async () => {
  const random = generator(5);
  const below = (count: number): number => Math.floor(random() * count);
  const pick = <T>(values: readonly T[]): T => values[below(values.length)] as T;
  for (let index = 0; index < CASES; index++) {
    const mode = pick(['nearest', 'linear', 'cubic'] as const);
    const shape = [1, 1 + below(2), 2 + below(4), 2 + below(4)];
    const coordinateTransformationMode = pick([
      'half_pixel',
      'half_pixel_symmetric',
      'pytorch_half_pixel',
      'align_corners',
      'asymmetric',
      'tf_crop_and_resize',
    ] as const);
    const options: ResizeOptions = {
      mode,
      coordinateTransformationMode,
      nearestMode: pick(['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'] as const),
      cubicCoefficient: pick([-0.75, -0.5]),
      excludeOutside: mode === 'cubic' && random() < 0.5,
      ...(random() < 0.5
        ? { sizes: [...shape.slice(0, 2), 1 + below(8), 1 + below(8)] }
        : { scales: [1, 1, 0.5 + 2.3 * random(), 0.5 + 2.3 * random()] }),
      ...(coordinateTransformationMode === 'tf_crop_and_resize'
        ? { region: [0, 0, random() - 0.4, 0.1, 1, 1, 0.6 + random(), 0.9] }
        : {}),
    };
    try {
      // Linear in its input: large steps lose nothing.
      await expectDerivatives([{ shape }], (x) => [resize(x, options)], {
        dataType: 'float32',
        step: 1,
        tolerance: 2e-5,
        orders: [1],
      });
    } catch (error) {
      throw new Error(`${JSON.stringify({ shape, options })}: ${String(error)}`);
    }
  }
  expect.hasAssertions();
}, 120_000);
