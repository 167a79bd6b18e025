import { UpdraftError, type UpdraftErrorOptions } from '@updraft/graph';

/** Logits, models or prompts that cannot be fused. */
export class FusionError extends UpdraftError {
  constructor(message: string, options?: UpdraftErrorOptions) {
    super('logits-fusion', message, options);
  }
}
