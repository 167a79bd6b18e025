import { UpdraftError, type UpdraftErrorOptions } from '@updraft/graph';

/** A derivative was asked for through an operator (or an attribute setting) that has none. */
export class NonDifferentiableError extends UpdraftError {
  constructor(message: string, options?: UpdraftErrorOptions) {
    super('non-differentiable', message, options);
  }
}
