import { defineModel, type Model } from '../../module/module.js';
import type { RandomStream } from '../../random/index.js';
import type { Batch, JsonValue, Sampler } from '../../contracts/sampler.js';
import type { Reward } from '../../contracts/reward.js';
import type { UpdateRule } from '../../contracts/update-rule.js';
import type { StateSpec } from '../../contracts/update-rule.js';
import { mapValues } from '../../tree.js';
import { where, zerosLike, type Tensor } from '@updraft/graph';

/** A small regression network with dropout: it draws noise at every step, so that a lost random state shows. */
export const noisyModel: Model = defineModel({
  name: 'noisy',
  inputs: { x: { dataType: 'float32', shape: ['batch', 6] } },
  build(scope, inputs) {
    const layer = (name: string, x: Tensor, units: number): Tensor =>
      scope.child(name, (inner) => {
        const width = x.shape[1] as number;
        const initialize = (shape: readonly number[], random: RandomStream): Float32Array => {
          const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
          random.fillNormal(values);
          return values.map((value) => value / Math.sqrt(width));
        };
        return x.matMul(inner.parameter('weight', [width, units], { initialize, role: 'weight' })).add(
          inner.parameter('bias', [units], {
            initialize: (shape) => new Float32Array(shape[0] as number),
            role: 'bias',
          }),
        );
      });
    let hidden = layer('first', inputs['x'] as Tensor, 16).tanh();
    if (scope.training)
      hidden = where(scope.noise('dropout', hidden.shape, 'uniform').greater(0.2), hidden.mul(1.25), zerosLike(hidden));
    const average = scope.variable('average', [16], 0);
    if (scope.training) scope.assign('average', average.mul(0.9).add(hidden.mean([0]).mul(0.1)));
    return layer('second', hidden, 1);
  },
});

export const squaredError: Reward = {
  objective({ batch, forward }) {
    const error = (forward()['output'] as Tensor).sub(batch['y'] as Tensor).square();
    return { loss: error.mean(), perExample: { loss: error.mean([1]) } };
  },
};

/** Random points of a fixed function; every draw depends on the step alone. */
export class FunctionSampler implements Sampler {
  readonly columns = {
    x: { dataType: 'float32', shape: ['batch', 6] },
    y: { dataType: 'float32', shape: ['batch', 1] },
  } as const;
  #drawn = 0;

  constructor(readonly size = 8) {}

  draw({ random }: { random: RandomStream }): Batch {
    const x = new Float32Array(this.size * 6);
    random.fillNormal(x);
    const y = Float32Array.from({ length: this.size }, (_, row) =>
      Math.sin((x[row * 6] as number) + (x[row * 6 + 1] as number)),
    );
    this.#drawn++;
    return {
      columns: {
        x: { dataType: 'float32', dims: [this.size, 6], data: x },
        y: { dataType: 'float32', dims: [this.size, 1], data: y },
      },
      size: this.size,
    };
  }
  state(): JsonValue {
    return { drawn: this.#drawn };
  }
  restore(state: JsonValue): void {
    this.#drawn = (state as { drawn: number }).drawn;
  }
}

/** Momentum with two phases and a host visit now and then: everything that a rule may do, in small. */
export const phasedMomentum: UpdateRule<{ velocity: Record<string, StateSpec>; visits: StateSpec }> = {
  init: (context) => ({ velocity: context.likeParams(), visits: context.state([]) }),
  phase: (step) => (step % 3 === 0 ? 'slow' : 'fast'),
  needsHost: (step) => step % 5 === 0,
  async host(context) {
    const visits = await context.readState('visits');
    await context.writeState('visits', {
      ...visits,
      data: Float32Array.of((visits.data[0] as number) + context.random.uniform()),
    });
  },
  update(context) {
    const rate = context.scalar('learningRate', (step) => 0.05 / (1 + step / 50));
    const factor = context.phase === 'slow' ? 0.5 : 1;
    const velocity = mapValues(context.grads, (gradient, name) =>
      (context.state.velocity[name] as Tensor).mul(0.9).add(gradient.mul(factor)),
    );
    return {
      params: mapValues(context.params, (param, name) => param.sub((velocity[name] as Tensor).mul(rate))),
      state: { velocity, visits: context.state.visits },
    };
  },
};
