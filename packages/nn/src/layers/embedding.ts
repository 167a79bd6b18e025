import type { Initializer, Layer } from '@updraft/core';
import { normal } from '../initializers.js';

export interface EmbeddingOptions {
  /** Number of rows. */
  readonly vocabulary: number;
  readonly width: number;
  /** Default: normal with deviation 0.02. */
  readonly initialize?: Initializer;
  readonly name?: string;
}

/** Rows of a table by integer index: [...] int64 → [..., width]. */
export const embedding =
  ({ vocabulary, width, initialize = normal(0.02), name = 'embedding' }: EmbeddingOptions): Layer =>
  (scope, indices) =>
    scope.child(name, (inner) =>
      inner.parameter('weight', [vocabulary, width], { initialize, role: 'embedding' }).gather(indices),
    );
