import type { TensorData } from '@updraft/graph';
import type { Tensor } from '@updraft/graph';
import type { Batch, JsonValue, Sampler } from '../../contracts/sampler.js';
import type { Reward } from '../../contracts/reward.js';
import type { UpdateRule } from '../../contracts/update-rule.js';
import { defineModel, type Model } from '../../module/module.js';
import { mapValues } from '../../tree.js';

/** A model that is one vector: small enough to follow by hand. */
export const pointModel = (size = 1): Model =>
  defineModel({
    name: 'point',
    inputs: {},
    build: (scope) => scope.parameter('x', [size], { initialize: () => new Float32Array(size) }),
  });

/** ½ · curvature · |x − target|², mean over the batch: its gradient is curvature · (x − mean target). */
export const quadratic = (curvature = 1): Reward => ({
  objective({ batch, forward }) {
    const distance = (forward()['output'] as Tensor).sub(batch['target'] as Tensor);
    return {
      loss: distance
        .square()
        .sum([1])
        .mean()
        .mul(curvature / 2),
    };
  },
});

/** x ← x − rate · gradient. */
export const descent = (rate: number | ((step: number) => number)): UpdateRule => ({
  init: () => ({}),
  update(context) {
    const learningRate = context.scalar('learningRate', typeof rate === 'number' ? () => rate : rate);
    return {
      params: mapValues(context.params, (param, name) => param.sub((context.grads[name] as Tensor).mul(learningRate))),
    };
  },
});

export const rows = (values: readonly (readonly number[])[]): TensorData<'float32'> => ({
  dataType: 'float32',
  dims: [values.length, values[0]?.length ?? 0],
  data: Float32Array.from(values.flat()),
});

/** Gives columns of its own again and again, one block of rows after another; draws nothing at random. */
export class CycleSampler implements Sampler {
  readonly columns: Sampler['columns'];
  #drawn = 0;

  constructor(
    readonly values: Readonly<Record<string, TensorData>>,
    readonly batchSize: number,
  ) {
    this.columns = mapValues(values, ({ dataType, dims }) => ({ dataType, shape: ['batch', ...dims.slice(1)] }));
  }

  get batchesPerEpoch(): number {
    return (Object.values(this.values)[0]?.dims[0] as number) / this.batchSize;
  }
  draw(): Batch {
    const from = (this.#drawn++ % this.batchesPerEpoch) * this.batchSize;
    const columns = mapValues(this.values, ({ dataType, dims, data }) => {
      const width = dims.slice(1).reduce((a, b) => a * b, 1);
      return {
        dataType,
        dims: [this.batchSize, ...dims.slice(1)],
        data: data.slice(from * width, (from + this.batchSize) * width),
      } as TensorData;
    });
    return { columns, size: this.batchSize };
  }
  state(): JsonValue {
    return { drawn: this.#drawn };
  }
  restore(state: JsonValue): void {
    this.#drawn = (state as { drawn: number }).drawn;
  }
}

/** A sampler that always points at one target. */
export const towards = (...target: readonly number[]): Sampler => new CycleSampler({ target: rows([target]) }, 1);
