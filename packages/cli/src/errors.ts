import { UpdraftError, type UpdraftErrorOptions } from '@updraft/graph';

/** The command line or a configuration cannot be followed. */
export class CliError extends UpdraftError {
  constructor(message: string, options?: UpdraftErrorOptions) {
    super('cli', message, options);
  }
}
