import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import { where, type Tensor, type TensorData } from '@updraft/graph';
import type { UpdateRule } from '../contracts/update-rule.js';
import { CoreError } from '../errors.js';
import { mapValues, type NamedValues } from '../tree.js';
import { trainBlackBox } from './train-black-box.js';

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

const params = { w: { dataType: 'float32', dims: [2], data: Float32Array.of(3, -1) } } as const;
const numbers = (value: TensorData | undefined): number[] => Array.from(value?.data as Float32Array);
/** (w₀ − 1)² + 2·w₁². */
const bowl = (given: NamedValues<TensorData>): number => {
  const [x, y] = numbers(given['w']) as [number, number];
  return (x - 1) ** 2 + 2 * y ** 2;
};

/** Steps to w + s·e where that is lower, else to w − s·e where that is; e is the axis of the step's parity. */
const axisSearch: UpdateRule = {
  init: () => ({}),
  phase: (step) => (step % 2 === 1 ? 'first' : 'second'),
  update(context) {
    const w = context.params['w'] as Tensor;
    const size = context.scalar('size', (step) => 1 / Math.ceil(step / 2));
    const axis = w.graph.constant({
      dataType: 'float32',
      dims: [2],
      data: context.phase === 'first' ? Float32Array.of(1, 0) : Float32Array.of(0, 1),
    });
    const here = context.loss();
    const up = w.add(axis.mul(size));
    const better = where(context.loss({ w: up }).less(here), up, w.sub(axis.mul(size)));
    // Asked for only after the first two answers are there.
    const there = context.loss({ w: better });
    context.metric('there', there);
    return { params: { w: where(there.less(here), better, w) } };
  },
};

describe('training by losses of a callback', () => {
  test('losses that depend on others are asked for after them, with the values that they lead to', async () => {
    const asked: number[][] = [];
    const run = trainBlackBox({
      params,
      backend,
      steps: 2,
      updateRule: axisSearch,
      lossAt: async (point, step) => {
        await Promise.resolve();
        asked.push([step, ...numbers(point['w'])]);
        return bowl(point);
      },
    });
    const seen: unknown[] = [];
    for await (const event of run) seen.push([event.losses, event.metrics]);
    // 3 → 4 is worse, 2 is better; then −1 → 0 is better.
    expect(asked).toEqual([
      [1, 3, -1],
      [1, 4, -1],
      [1, 2, -1],
      [2, 2, -1],
      [2, 2, 0],
      [2, 2, 0],
    ]);
    expect(seen).toEqual([
      [[6, 11, 3], { there: 3 }],
      [[3, 1, 1], { there: 1 }],
    ]);
    expect(numbers((await run.result()).params['w'])).toEqual([2, 0]);
  });

  test('state, phases and given values are kept apart from the caller', async () => {
    const first = mapValues(params, (value) => ({ ...value, data: value.data.slice() }));
    const counting: UpdateRule<{ count: ReturnType<Parameters<UpdateRule['init']>[0]['state']> }> = {
      init: (context) => ({ count: context.state([]) }),
      update: (context) => ({
        params: { w: (context.params['w'] as Tensor).sub(context.loss().mul(0.1)) },
        state: { count: context.state.count.add(1) },
      }),
    };
    const { params: after, state } = await trainBlackBox({
      params: first,
      backend,
      steps: 3,
      updateRule: counting,
      lossAt(point) {
        (point['w']?.data as Float32Array).fill(99);
        return 1;
      },
    }).result();
    numbers(after['w']).forEach((value, at) => {
      expect(value).toBeCloseTo([2.7, -1.3][at] as number, 5);
    });
    expect(numbers(state['count'])).toEqual([3]);
    expect(numbers(first.w)).toEqual([3, -1]);
  });

  test('a loss that is not finite, and a rule that wants gradients, are refused', async () => {
    const bad = trainBlackBox({ params, backend, steps: 1, updateRule: axisSearch, lossAt: () => Number.NaN });
    await expect(bad.result()).rejects.toThrow(/gives the loss NaN at step 1/);
    const gradients: UpdateRule = {
      init: () => ({}),
      update: (context) => ({ params: { w: (context.params['w'] as Tensor).sub(context.grads['w'] as Tensor) } }),
    };
    const wrong = trainBlackBox({ params, backend, steps: 1, updateRule: gradients, lossAt: bowl });
    await expect(wrong.result()).rejects.toThrow(CoreError);
  });
});
