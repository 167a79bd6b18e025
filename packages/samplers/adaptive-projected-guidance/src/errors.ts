import { UpdraftError, type UpdraftErrorOptions } from '@updraft/graph';

/** Predictions, a request or a process that guidance cannot work with. */
export class GuidanceError extends UpdraftError {
  constructor(message: string, options?: UpdraftErrorOptions) {
    super('guidance', message, options);
  }
}
