import { defineModel, passes, type Layer, type Model } from '@updraft/core';
import type { Tensor } from '@updraft/graph';
import { batchNorm, dense, heNormal, named, relu, sequential } from '@updraft/nn';

/**
 * Step 5, the projector: Linear–BatchNorm–ReLU for every width but the last, then Linear, all without biases. It is thrown
 * away after training: features are those of the encoder.
 */
export function projector(widths: readonly number[]): Layer {
  const hidden = widths
    .slice(0, -1)
    .flatMap((units) => [dense({ units, bias: false, initialize: heNormal }), batchNorm(), relu]);
  return sequential(...hidden, ...widths.slice(-1).map((units) => dense({ units, bias: false })));
}

export interface TwinModelOptions {
  /** Shape of one example, such as [1, 8, 8]. */
  readonly input: readonly number[];
  /** The network whose output [batch, features] is wanted in the end. */
  readonly encoder: Layer;
  /** From features to embeddings [batch, D]. */
  readonly projector: Layer;
}

/**
 * Step 1: `xA`, `xB` → `zA`, `zB`, two passes of one network with the same weights. Batch normalisation inside sees each view
 * on its own, and its running statistics those of both in turn. Parameters are named `encoder.…` and `projector.…`.
 */
export const twinModel = ({ input, encoder, projector: project }: TwinModelOptions): Model =>
  defineModel({
    name: 'twins',
    inputs: Object.fromEntries(
      ['xA', 'xB'].map((name) => [name, { dataType: 'float32', shape: ['batch', ...input] }] as const),
    ),
    build(scope, { xA, xB }) {
      const next = passes(scope);
      const network = sequential(named('encoder', encoder), named('projector', project));
      return { zA: network(next(), xA as Tensor), zB: network(next(), xB as Tensor) };
    },
  });

/** The encoder alone, `x` → `features`: takes the values of a trained {@link twinModel}. */
export const encoderModel = ({ input, encoder }: Pick<TwinModelOptions, 'input' | 'encoder'>): Model =>
  defineModel({
    name: 'encoder',
    inputs: { x: { dataType: 'float32', shape: ['batch', ...input] } },
    build: (scope, { x }) => ({ features: named('encoder', encoder)(scope, x as Tensor) }),
  });
