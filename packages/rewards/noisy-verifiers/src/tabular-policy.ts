import { defineModel, type Initializer, type Model } from '@updraft/core';
import type { Tensor } from '@updraft/graph';
import { normal } from '@updraft/nn';

export interface TabularPolicyOptions {
  /** How many tokens there are to choose from. */
  readonly tokens: number;
  /** Tokens of an answer; default 1. */
  readonly length?: number;
  /** Prompts with logits of their own, told apart by the column `prompt` (int64 [batch], from 0); default: all share one row. */
  readonly prompts?: number;
  /** Default: normal with a deviation of 0.1. */
  readonly initialize?: Initializer;
}

/**
 * The smallest policy there is: a softmax for each place of an answer, independent of each other. Its one parameter, `policy.table`,
 * is [prompts, length, tokens].
 */
export function tabularPolicy(options: TabularPolicyOptions): Model {
  const { tokens: count, length = 1, prompts, initialize = normal(0.1) } = options;
  return defineModel({
    name: 'tabular-policy',
    inputs: {
      tokens: { dataType: 'int64', shape: ['batch', length] },
      ...(prompts === undefined ? {} : { prompt: { dataType: 'int64', shape: ['batch'] } as const }),
    },
    build: (scope, { tokens, prompt }) => {
      const table = scope.child('policy', (inner) =>
        inner.parameter('table', [prompts ?? 1, length, count], { initialize, role: 'other' }),
      );
      // Tokens give the size of the batch and nothing else.
      const nothing = (tokens as Tensor).cast('float32').mul(0).unsqueeze([2]);
      return { logits: (prompt === undefined ? table : table.gather(prompt, 0)).add(nothing) };
    },
  });
}
