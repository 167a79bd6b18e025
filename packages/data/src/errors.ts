import { UpdraftError, type UpdraftErrorOptions } from '@updraft/graph';

/** Data that cannot be read, or does not have the form that it claims. */
export class DataError extends UpdraftError {
  constructor(message: string, options?: UpdraftErrorOptions) {
    super('data', message, options);
  }
}
