import { UpdraftError, type UpdraftErrorOptions } from '@updraft/graph';

/** A pipeline was composed or driven in a way that cannot work. */
export class CoreError extends UpdraftError {}

/** The loss (or another watched value) became NaN or infinite. */
export class NonFiniteError extends UpdraftError {
  constructor(message: string, options?: UpdraftErrorOptions) {
    super('non-finite', message, options);
  }
}
