import type { Layer } from '@updraft/core';
import { where, zerosLike } from '@updraft/graph';

/** Set elements to zero with probability `rate` in training and scale the others up (Srivastava et al. 2014). */
export const dropout =
  (rate: number, name = 'dropout'): Layer =>
  (scope, x) => {
    if (!scope.training || rate === 0) return x;
    return scope.child(name, (inner) => {
      const kept = inner.noise('mask', x.shape, 'uniform').greaterOrEqual(rate);
      return where(kept, x.mul(1 / (1 - rate)), zerosLike(x));
    });
  };
